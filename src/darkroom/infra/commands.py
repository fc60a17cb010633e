"""Programs that Darkroom starts for images and charts: docker and helm, from lists of arguments, without a shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import SettingsError, StackFailure

Run = Callable[[Sequence[str]], None]
# Sample images that can be built here, by their folder below `images/`.
BUILDABLE = ("queue-agent", "inference", "sdwebui", "comfyui")
# What the cluster pulls from public registries, for a registry of one's own to have.
PUBLIC_IMAGES = (
    "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0",
    "public.ecr.aws/karpenter/controller:1.14.1",
    "ghcr.io/kedacore/keda:2.20.2",
    "ghcr.io/kedacore/keda-metrics-apiserver:2.20.2",
    "ghcr.io/kedacore/keda-admission-webhooks:2.20.2",
)


@dataclass(frozen=True)
class Images:
    """Builds, pushes and mirrors images with docker."""

    run: Run
    folder: Path

    def build(self, names: Sequence[str], tag: str) -> list[str]:
        """Build the named images, all by default, and return their references. Raises `SettingsError`."""
        chosen = list(names) or list(BUILDABLE)
        unknown = [name for name in chosen if name not in BUILDABLE]
        if unknown:
            raise SettingsError(f"there is no image {', '.join(unknown)}; there are: {', '.join(BUILDABLE)}")
        references = []
        for name in chosen:
            reference = f"darkroom/{name}:{tag}"
            file = self.folder / name / "Dockerfile"
            self.run(["docker", "build", "--tag", reference, "--file", str(file), str(self.folder.parent)])
            references.append(reference)
        return references

    def push(self, references: Sequence[str], registry: str) -> list[str]:
        """Push local images into a registry, and return their names there."""
        return [self._copy(reference, f"{registry.rstrip('/')}/{reference}") for reference in references]

    def mirror(self, registry: str, references: Sequence[str] = PUBLIC_IMAGES) -> list[str]:
        """Copy public images into a registry of one's own, and return their names there."""
        copies = []
        for reference in references:
            self.run(["docker", "pull", reference])
            copies.append(self._copy(reference, f"{registry.rstrip('/')}/{reference.partition('/')[2]}"))
        return copies

    def _copy(self, source: str, target: str) -> str:
        self.run(["docker", "tag", source, target])
        self.run(["docker", "push", target])
        return target


def push_chart(chart: Path, repository: str, out: Path, run: Run) -> None:
    """Package the chart into `out` and push it to an OCI repository, or write the index of an HTTP one.

    Raises `SettingsError` for an address that is neither.
    """
    if not repository.startswith(("oci://", "http://", "https://")):
        raise SettingsError(f"{repository} must begin with oci://, https:// or http://")
    out.mkdir(parents=True, exist_ok=True)
    run(["helm", "package", str(chart), "--destination", str(out)])
    (package,) = sorted(out.glob("darkroom-runtime-*.tgz"))[-1:] or [out / "darkroom-runtime.tgz"]
    if repository.startswith("oci://"):
        run(["helm", "push", str(package), repository])
    else:
        run(["helm", "repo", "index", str(out), "--url", repository])


def run_program(command: Sequence[str]) -> None:
    """Run a program whose output the user sees. Raises `StackFailure` when it is missing or fails."""
    if shutil.which(command[0]) is None:
        raise StackFailure(f"{command[0]} is not installed, and is needed for: {' '.join(command)}")
    outcome = subprocess.run(list(command), check=False)
    if outcome.returncode != 0:
        raise StackFailure(f"{' '.join(command)} ended with {outcome.returncode}")
