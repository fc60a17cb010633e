"""Pools of GPU nodes that several runtimes share; a runtime without one has nodes of its own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from darkroom.config.karpenter_values import CapacityType
from darkroom.config.keys import AvailabilityZone, ConfigModel, GpuInstanceFamily, GpuInstanceType, ReleaseName
from darkroom.config.kubernetes_text import Duration, Lifetime, ResourceAmounts
from darkroom.config.node_values import NodeLabels, NodeTaints, VolumeSize

# Where the chart has what a pool's own keys say. What a key does not say is left to the chart's defaults.
CHART_PLACES: dict[str, tuple[str, ...]] = {
    "instanceTypes": ("provisioner", "instanceType"),
    "capacityType": ("provisioner", "capacityType"),
    "limits": ("provisioner", "resourceLimits"),
    "consolidateAfter": ("provisioner", "disruption", "consolidateAfter"),
    "expireAfter": ("provisioner", "disruption", "expireAfter"),
    "labels": ("provisioner", "labels"),
    "taints": ("provisioner", "extraTaints"),
    "volumeSize": ("nodeTemplate", "dataVolume", "volumeSize"),
    "snapshotID": ("nodeTemplate", "dataVolume", "snapshotID"),
}
# Karpenter's names for what a node can be required to be.
REQUIREMENTS = {
    "instanceFamilies": "karpenter.k8s.aws/instance-family",
    "gpusPerNode": "karpenter.k8s.aws/instance-gpu-count",
    "zones": "topology.kubernetes.io/zone",
}


def own_nodes_release(runtime: str) -> str:
    """The Helm release of the nodes of a runtime without a pool; it lies in the runtime's namespace."""
    return f"{runtime}-nodes"


class NodePoolConfig(ConfigModel):
    """One pool: which nodes Karpenter may buy for its runtimes, how many, and when it takes them away."""

    name: ReleaseName = Field(description="what runtimes give as their nodePool; unique, and no runtime's name")
    instance_types: list[GpuInstanceType] | None = Field(
        default=None, min_length=1, description="EC2 instance types, each with an NVIDIA GPU; not set: the chart's"
    )
    instance_families: list[GpuInstanceFamily] | None = Field(
        default=None, min_length=1, description="families of types, such as g5 and g6, in place of instanceTypes"
    )
    gpus_per_node: list[Annotated[int, Field(ge=1, le=16)]] | None = Field(
        default=None,
        min_length=1,
        description="how many GPUs a node may have, such as 1 and 4; not set: 1, or what instanceTypes say",
    )
    capacity_type: CapacityType | None = Field(
        default=None, description="onDemand and spot, each true or false; not set: the chart's"
    )
    limits: ResourceAmounts | None = Field(
        default=None, description="the most that all nodes have together: nvidia.com/gpu, cpu, memory"
    )
    zones: list[AvailabilityZone] | None = Field(
        default=None, min_length=1, description="availability zones; not set: all of the VPC"
    )
    volume_size: VolumeSize | None = Field(
        default=None, description="size of the volume with images and scratch space; not set: the chart's"
    )
    snapshot_id: Annotated[str, Field(pattern=r"^snap-[0-9a-f]+$")] | None = Field(
        default=None, alias="snapshotID", description="EBS snapshot with cached images, for fastStart 'snapshot'"
    )
    consolidate_after: Duration | None = Field(
        default=None, description="how long a node stays after its last pod; not set: the chart's"
    )
    expire_after: Lifetime | None = Field(
        default=None, description="after how long a node is replaced by a new one; not set: the chart's"
    )
    labels: NodeLabels = Field(default={}, description="extra labels of the nodes")
    taints: NodeTaints = Field(default=[], description="extra taints: key, value, effect; the pool's pods bear them")
    extra_values: dict[str, Any] = Field(
        default={}, description="what the chart has below `karpenter`, where no key here says it"
    )

    def chart_values(self) -> dict[str, Any]:
        """The pool as the chart's values below `karpenter`."""
        said = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"name", "extra_values"})
        values = _copied(self.extra_values)
        for key, place in CHART_PLACES.items():
            if said.get(key):
                _put(values, place, said[key])
        requirements = [
            {"key": label, "operator": "In", "values": [str(value) for value in said[key]]}
            for key, label in REQUIREMENTS.items()
            if said.get(key)
        ]
        if requirements:
            provisioner = values.setdefault("provisioner", {})
            provisioner["extraRequirements"] = [*requirements, *provisioner.get("extraRequirements", [])]
        if self.instance_families:
            _put(values, CHART_PLACES["instanceTypes"], [])
        return values


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in values.items()}


def _put(values: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *sections, last = place
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value
