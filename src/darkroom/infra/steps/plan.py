"""The steps of a deployment as they are shown before any of them is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from darkroom.config.model import DarkroomConfig
from darkroom.infra.models import DEFAULT_MODEL
from darkroom.infra.steps.pinning import Pinning


@dataclass(frozen=True)
class Step:
    """One step, and why there is nothing to do in it, if that is so."""

    name: str
    what: str
    why_not: str | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return self.why_not is None


@dataclass(frozen=True)
class Sight:
    """What was seen of the account and the folder. None: nobody could look.

    `bucket` is the model bucket's name. `uncached_images` are those that nodes are to have from a snapshot, where none
    has been built yet; `uses_snapshots` says whether nodes start from snapshots at all.
    """

    bucket: str | None = None
    has_bucket: bool | None = None
    wants_model: bool = True
    has_file: bool = False
    uses_snapshots: bool = False
    uncached_images: tuple[str, ...] = ()
    has_stack: bool | None = None
    pinning: Pinning | None = None


def steps(config: DarkroomConfig, file: Path, sight: Sight) -> list[Step]:
    """What `darkroom deploy` would do, in order."""
    there = "it is there"
    bucket = "make the bucket for models, if there is none" if sight.bucket is None else f"make {sight.bucket}"
    change = {None: "create or update", True: "update", False: "create"}[sight.has_stack]
    return [
        Step("model bucket", bucket, there if sight.has_bucket else None),
        Step(
            "model",
            f"upload {DEFAULT_MODEL}, 4.3 GB, from its hub, if the bucket is ours and lacks it",
            there if sight.has_bucket else None if sight.wants_model else "config.yaml names its own",
        ),
        Step(
            "image cache",
            f"build a snapshot with {len(sight.uncached_images)} images: an m6i.large for some minutes",
            None
            if sight.uncached_images
            else there
            if sight.uses_snapshots
            else "nodes pull their images with SOCI (fastStart)",
        ),
        Step("configuration", f"write {file}", there if sight.has_file else None),
        Step("bootstrap", "make the bucket for the deployment's files"),
        Step("versions", _versions(config, sight.pinning)),
        Step("synthesis", "write the CloudFormation template and its files"),
        Step("deploy", f"{change} the stack {config.cloudformation_stack_name}"),
        *_charts(config),
        Step("nodes", "ask the cluster whether nodes can come"),
        Step("verification", "ask the front door without a key, and be refused"),
    ]


def _charts(config: DarkroomConfig) -> list[Step]:
    """The runtimes' charts in a cluster that is there; in one that is made, the stack installs them."""
    if config.cluster.name is None:
        return []
    why_not = "you install them (cluster.charts: gitops)" if config.cluster.charts == "gitops" else None
    return [Step("charts", f"install the runtimes' charts into {config.cluster.name}, with helm", why_not)]


def _versions(config: DarkroomConfig, pinning: Pinning | None) -> str:
    """What would be pinned, and what is newer than that."""
    head = f"Kubernetes {config.kubernetes_version}"
    if pinning is None:
        return f"{head}, and the newest nodes and add-ons for it, which stay until the next --upgrade"
    newer = f"; newer, with --upgrade: {', '.join(pinning.newer)}" if pinning.newer else ""
    return f"{head}, {', '.join(pinning.pins.listed())}{newer}"
