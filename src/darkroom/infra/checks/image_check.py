"""Whether the images are there that the pods will pull, before nodes wait for them in vain."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from darkroom.config.model import DarkroomConfig
from darkroom.config.partition import PartitionFacts
from darkroom.errors import AwsFailure
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.commands import PUBLIC_IMAGES, name_in_mirror
from darkroom.infra.image_names import image_parts
from darkroom.infra.registry import ecr_registry
from darkroom.infra.template.chart_values import images_of
from darkroom.infra.template.versions import TRACE_COLLECTOR

_ABSENT = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})


def check_image_names(config: DarkroomConfig, facts: PartitionFacts) -> Iterator[Finding]:
    """Nobody publishes the queue agent's image for the user; and in China public registries cannot be relied on."""
    remedy = "darkroom images build && darkroom images push, then set mirrors.imageRegistry in config.yaml"
    for runtime in config.models_runtime:
        images = runtime.extra_values.get("runtime", {})
        own_agent = images.get("queueAgent", {}).get("image", {}).get("repository")
        own_runtime = images.get("inferenceApi", {}).get("image", {}).get("repository")
        is_sample = runtime.type in ("sdwebui", "comfyui") and facts.public_images
        if not config.mirrors.image_registry and not (own_agent and (own_runtime or is_sample)):
            yield Finding(Verdict.MISSING, f"images of {runtime.name}", remedy)
        else:
            yield Finding(Verdict.GOOD, f"images of {runtime.name}")
    if not facts.public_images and not (config.mirrors.karpenter_chart and config.mirrors.keda_chart):
        remedy = "charts and images of Karpenter and KEDA come from public registries: set mirrors in config.yaml"
        yield Finding(Verdict.UNKNOWN, "public registries", remedy)


def check_registry(cloud: Cloud, config: DarkroomConfig) -> Iterator[Finding]:
    """Whether the registry that config.yaml names has the images. Others than ECR would want their own credentials."""
    registry = config.mirrors.image_registry
    if registry is None:
        return
    subject = f"images in {registry}"
    own = sorted({image for runtime in config.models_runtime for image in images_of(registry, runtime)})
    public = [
        f"{registry}/{name_in_mirror(image)}"
        for image in PUBLIC_IMAGES
        if cloud.facts.topic_tracing or image != TRACE_COLLECTOR
    ]
    if ecr_registry(registry) is None:
        yield Finding(Verdict.UNKNOWN, subject, f"not ECR, so look yourself: {', '.join([*own, *public])}")
        return
    try:
        absent_own, absent_public = ([image for image in some if not _is_there(cloud, image)] for some in (own, public))
    except AwsFailure as error:
        yield Finding(Verdict.UNKNOWN, subject, str(error))
        return
    if absent_own:
        remedy = f"{', '.join(absent_own)}: darkroom images build, and darkroom images push"
        yield Finding(Verdict.MISSING, f"own {subject}", remedy)
    if absent_public:
        remedy = f"{', '.join(absent_public)}: darkroom images mirror --registry {registry}"
        yield Finding(Verdict.MISSING, f"public {subject}", remedy)
    if not absent_own and not absent_public:
        yield Finding(Verdict.GOOD, subject)


def _is_there(cloud: Cloud, image: str) -> bool:
    registry = ecr_registry(image)
    if registry is None:
        return True
    parts = image_parts(image)
    wanted = {"imageDigest": parts.digest} if parts.digest else {"imageTag": parts.tag}
    with translated(f"looking for {image}"):
        try:
            cloud.client("ecr", registry.region).describe_images(
                registryId=registry.account, repositoryName=parts.repository, imageIds=[wanted]
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return False
            raise
    return True
