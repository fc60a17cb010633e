"""Which versions a deployment pins: those that it has, or, for a new Kubernetes and on demand, the newest ones.

A deployment that only changes a rate limit must not replace every GPU node.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.kubernetes_support import step_fault
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure, SettingsError
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.template.pins import ADD_ONS, MOUNTPOINT_ADD_ON, OBSERVABILITY_ADD_ON, Pins
from darkroom.infra.template.processors import has_arm_processors


@dataclass(frozen=True)
class Pinning:
    """`pins` are what is deployed; `newer` is what could be had instead."""

    pins: Pins
    newer: tuple[str, ...] = ()


def settle(cloud: Cloud, config: DarkroomConfig, deployed: Pins | None, *, renew: bool) -> Pinning:
    """Keep what is deployed, or resolve what is newest for this Kubernetes.

    Raises `SettingsError` for a step that EKS does not take, and `AwsFailure` where nothing is pinned yet and the
    versions may not be read.
    """
    if deployed is not None and (fault := step_fault(deployed.kubernetes, config.kubernetes_version)):
        raise SettingsError(fault)
    if deployed is None or renew or deployed.kubernetes != config.kubernetes_version:
        return Pinning(newest(cloud, config))
    try:
        found = newest(cloud, config)
    except AwsFailure:
        return Pinning(deployed)
    kept = set(deployed.listed())
    missing = {name: version for name, version in found.add_ons.items() if name not in deployed.add_ons}
    pins = Pins(
        kubernetes=deployed.kubernetes,
        bottlerocket=deployed.bottlerocket or found.bottlerocket,
        node_release=deployed.node_release or found.node_release,
        add_ons={**deployed.add_ons, **missing},
    )
    return Pinning(pins, tuple(line for line in found.listed() if line not in kept and line not in pins.listed()))


def newest(cloud: Cloud, config: DarkroomConfig) -> Pins:
    """The newest versions that AWS recommends for this Kubernetes. Raises `AwsFailure`."""
    version = config.kubernetes_version
    processor = "arm64" if has_arm_processors(config.cluster_components.instance_type) else "x86_64"
    with translated(f"finding the versions for Kubernetes {version}"):
        ssm = cloud.client("ssm")

        def parameter(name: str) -> str:
            value: str = ssm.get_parameter(Name=name)["Parameter"]["Value"]
            return value

        bottlerocket = parameter(f"/aws/service/bottlerocket/aws-k8s-{version}-nvidia/x86_64/latest/image_version")
        image = f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{processor}/standard/recommended"
        bottlerocket = f"v{bottlerocket.partition('-')[0]}"
        if config.cluster.name is not None:  # whose add-ons and nodes are others'
            return Pins(kubernetes=version, bottlerocket=bottlerocket)
        names = [*ADD_ONS, OBSERVABILITY_ADD_ON, *([MOUNTPOINT_ADD_ON] if config.model_bucket_arn else [])]
        add_ons = {}
        for name in names:
            chosen = recommended(cloud, version, name)
            if chosen is not None:
                add_ons[name] = chosen
        return Pins(
            kubernetes=version,
            bottlerocket=bottlerocket,
            node_release=parameter(f"{image}/release_version"),
            add_ons=add_ons,
        )


def recommended(cloud: Cloud, kubernetes: str, add_on: str) -> str | None:
    """The version of an add-on that EKS takes by itself for this Kubernetes. Raises `AwsFailure`."""

    def look() -> str | None:
        with translated(f"finding the version of {add_on}"):
            answer = cloud.client("eks").describe_addon_versions(kubernetesVersion=kubernetes, addonName=add_on)
        offered = [entry for found in answer["addons"] for entry in found["addonVersions"]]
        chosen = next((entry for entry in offered if _is_default(entry)), next(iter(offered), None))
        return chosen["addonVersion"] if chosen is not None else None

    return cloud.once(f"add-on {add_on} for Kubernetes {kubernetes}", look)


def _is_default(entry: dict[str, object]) -> bool:
    compatible = entry.get("compatibilities", [])
    return isinstance(compatible, list) and any(item.get("defaultVersion") for item in compatible)
