"""What makes nodes and pods of a deployment, as it stands in the cluster: there, ready, or on its way out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.config.model import DarkroomConfig
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Told
from darkroom.infra.cluster_api import ClusterApi
from darkroom.infra.steps.stack_operations import Timing
from darkroom.infra.template.chart_values import node_release_of

NODE_POOLS = "/apis/karpenter.sh/v1/nodepools"
NODE_CLASSES = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"
# KEDA looks within seconds, and Karpenter too; what is not ready by then has a reason.
READY_SECONDS = 60.0
# As long as a pod may have for its last task, and somewhat more.
GONE_SECONDS = 900.0

PAUSED = "autoscaling.keda.sh/paused-replicas"


@dataclass(frozen=True)
class ClusterObject:
    """One object by its kind, its name and its path at the API server."""

    kind: str
    name: str
    path: str


@dataclass(frozen=True)
class NotReady:
    """An object that cannot do its work, and why."""

    found: ClusterObject
    why: str


def node_object_name(namespace: str, release: str) -> str:
    """How the chart calls NodePool and EC2NodeClass of a release."""
    plain = f"{namespace}-{release}"
    if "-" in namespace or len(plain) > 50:
        digest = hashlib.sha256(f"{namespace}/{release}".encode()).hexdigest()[:8]
        plain = f"{plain[:41].removesuffix('-')}-{digest}"
    return f"{plain}-gpu"


def node_objects(config: DarkroomConfig) -> list[ClusterObject]:
    """Every NodePool and EC2NodeClass that the deployment makes."""
    places = {
        node_release_of(runtime)
        for runtime in config.models_runtime
        if runtime.uses_karpenter and not runtime.makes_its_nodes
    }
    names = sorted(node_object_name(namespace, release) for release, namespace in places)
    kinds = (("EC2NodeClass", NODE_CLASSES), ("NodePool", NODE_POOLS))
    return [ClusterObject(kind, name, f"{path}/{name}") for name in names for kind, path in kinds]


def scaled_object(namespace: str, runtime: str) -> ClusterObject:
    """What counts the pods of a runtime."""
    path = f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/{runtime}"
    return ClusterObject("ScaledObject", runtime, path)


def all_objects(config: DarkroomConfig) -> list[ClusterObject]:
    """All without which no pod comes."""
    counted = [
        scaled_object(runtime.namespace, runtime.name)
        for runtime in config.models_runtime
        if runtime.extra_value("runtime", "scaling", "enabled") is not False and not runtime.chart_repository
    ]
    return [*node_objects(config), *counted]


def wait_until_gone(api: ClusterApi, config: DarkroomConfig, timing: Timing, told: Told) -> None:
    """Wait for what is still being removed under a name that is about to be made anew.

    Applied into, it would seem to be there, and be gone when its last finalizer is. Raises `StackFailure`.
    """
    for found in node_objects(config):
        told_of = False

        def is_gone(found: ClusterObject = found) -> bool:
            there = api.get(found.path)
            return there is None or "deletionTimestamp" not in there["metadata"]

        until = timing.clock() + GONE_SECONDS
        while not is_gone():
            if not told_of:
                told(f"{found.kind} {found.name} is still being removed, until its last node is gone: waiting")
                told_of = True
            if timing.clock() > until:
                raise StackFailure(
                    f"{found.kind} {found.name} has been on its way out for {GONE_SECONDS / 60:.0f} minutes: see which "
                    f"node it waits for with kubectl get nodeclaims, end it, and run this again"
                )
            timing.sleep(timing.poll_seconds)


def wait_until_ready(api: ClusterApi, config: DarkroomConfig, timing: Timing) -> list[NotReady]:
    """Those of the deployment's objects that are not ready within `READY_SECONDS`, each with its own reason."""
    until = timing.clock() + READY_SECONDS
    while True:
        lacking = list(_lacking(api.get, all_objects(config)))
        if not lacking or timing.clock() > until:
            return lacking
        timing.sleep(timing.poll_seconds)


def _lacking(get: Callable[[str], dict[str, Any] | None], objects: list[ClusterObject]) -> Iterator[NotReady]:
    for found in objects:
        there = get(found.path)
        if there is None:
            yield NotReady(found, "is not there")
        elif "deletionTimestamp" in there["metadata"]:
            yield NotReady(found, "is being removed")
        else:
            conditions = there.get("status", {}).get("conditions") or []
            ready = next((entry for entry in conditions if entry["type"] == "Ready"), None)
            if ready is None:
                yield NotReady(found, "has not been looked at by its controller")
            elif ready["status"] != "True":
                yield NotReady(found, f"is not ready: {_reason(ready)}")


def _reason(condition: dict[str, Any]) -> str:
    said = [condition.get("reason"), condition.get("message")]
    return ": ".join(part for part in said if part) or "it does not say why"
