"""Programs that Darkroom starts for images and charts: docker and helm, from lists of arguments, without a shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import SettingsError, StackFailure
from darkroom.infra.registry import LogIn, PushTarget, RegistryLogin
from darkroom.infra.template import versions

Run = Callable[[Sequence[str]], None]
RunWithInput = Callable[[Sequence[str], str], None]
# Sample images that can be built here, by their folder below `images/`.
BUILDABLE = ("queue-agent", "inference", "sdwebui", "comfyui")
CHART_NAME = "darkroom-runtime"
# What the GPU nodes are, whatever machine the images are built on.
PLATFORM = "linux/amd64"
STANDARD_ERROR = 2  # its number, as programs know it
# What the cluster pulls from public registries, for a registry of one's own to have: the defaults of the charts at
# their pinned versions (karpenter/values.yaml, keda/values.yaml, this project's values.yaml). EKS's own add-ons are not
# among them: AWS serves those from a registry in each region, also in China.
PUBLIC_IMAGES = (
    versions.TRACE_COLLECTOR,
    f"public.ecr.aws/karpenter/controller:{versions.KARPENTER}",
    f"ghcr.io/kedacore/keda:{versions.KEDA}",
    f"ghcr.io/kedacore/keda-metrics-apiserver:{versions.KEDA}",
    f"ghcr.io/kedacore/keda-admission-webhooks:{versions.KEDA}",
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
            if not file.exists():
                raise SettingsError(
                    f"{file} is not there: run this in Darkroom's checkout, or name its images/ by --folder"
                )
            options = ["--platform", PLATFORM, "--tag", reference, "--file", str(file)]
            self.run(["docker", "build", *options, str(self.folder.parent)])
            references.append(reference)
        return references

    def push(self, references: Sequence[str], registry: PushTarget) -> list[str]:
        """Push local images into a registry, and return their names there."""
        targets = []
        for reference in references:
            target = registry.reference(reference)
            self.run(["docker", "tag", reference, target])
            self.run(["docker", "push", target])
            targets.append(target)
        return targets

    def mirror(self, registry: PushTarget, references: Sequence[str] = PUBLIC_IMAGES) -> list[str]:
        """Copy public images into a registry of one's own, and return their names there.

        Registry to registry, with all platforms and the same digest: the components' nodes may be Graviton, the GPU
        nodes are not, and Karpenter's chart asks for its image by digest.
        """
        copies = []
        for reference in references:
            target = registry.reference(name_in_mirror(reference))
            self.run(["docker", "buildx", "imagetools", "create", "--tag", target, reference])
            copies.append(target)
        return copies


def name_in_mirror(reference: str) -> str:
    """The name of a public image in a registry of one's own, without that registry's address."""
    return reference.partition("/")[2]


def push_chart(chart: Path, repository: str, out: Path, run: Run, registry: PushTarget | None = None) -> Path:
    """Package the chart into `out` and push it to an OCI repository, or write the index of an HTTP one.

    Returns the package. `registry` is made ready for it where it is given. Raises `SettingsError` for an address that
    is neither.
    """
    if not repository.startswith(("oci://", "http://", "https://")):
        raise SettingsError(f"{repository} must begin with oci://, https:// or http://")
    out.mkdir(parents=True, exist_ok=True)
    run(["helm", "package", str(chart), "--destination", str(out)])
    (package,) = sorted(out.glob(f"{CHART_NAME}-*.tgz"))[-1:] or [out / f"{CHART_NAME}.tgz"]
    if repository.startswith("oci://"):
        if registry is not None:
            registry.reference(CHART_NAME)
        run(["helm", "push", str(package), repository])
    else:
        run(["helm", "repo", "index", str(out), "--url", repository])
    return package


def log_in_with(program: Sequence[str], run: RunWithInput) -> LogIn:
    """How a program (`docker`, or `helm registry`) is let into a registry; the password is on no command line."""

    def log_in(host: str, login: RegistryLogin) -> None:
        run([*program, "login", "--username", login.user, "--password-stdin", host], login.password)

    return log_in


def ask_kubectl(arguments: Sequence[str]) -> str | None:
    """What kubectl prints, pointed where the user has pointed it; None where it is not there or does not answer."""
    if shutil.which("kubectl") is None:
        return None
    command = ["kubectl", "--request-timeout=10s", *arguments]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    return outcome.stdout if outcome.returncode == 0 else None


def run_program(command: Sequence[str], text: str | None = None) -> None:
    """Run a program whose output the user sees, with `text` as its input.

    All of it goes to standard error: standard output is for what a command of Darkroom's results in.
    Raises `StackFailure` when it is missing or fails.
    """
    if shutil.which(command[0]) is None:
        raise StackFailure(f"{command[0]} is not installed, and is needed for: {' '.join(command)}")
    outcome = subprocess.run(list(command), check=False, input=text, text=True, stdout=STANDARD_ERROR)
    if outcome.returncode != 0:
        raise StackFailure(f"{' '.join(command)} ended with {outcome.returncode}")
