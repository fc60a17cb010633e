"""What the chart's values say below `karpenter`: the runtime's own nodes, or those of a pool that it shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkroom.config.keys import GpuInstanceType
from darkroom.config.kubernetes_text import Annotations, ChartModel, Duration, Lifetime, ResourceAmounts
from darkroom.config.node_values import (
    Budget,
    NodeLabels,
    NodeTaints,
    Requirement,
    Tags,
    TagSelector,
    UserData,
    VolumeSize,
)


class Volume(ChartModel):
    """An EBS volume of a node."""

    volume_size: VolumeSize | None = None
    volume_type: Literal["gp3", "io1", "io2"] | None = None
    delete_on_termination: bool | None = None
    encrypted: bool | None = None
    iops: Annotated[int, Field(ge=100, le=256_000)] | None = None
    throughput: Annotated[int, Field(ge=125, le=2000)] | None = None
    snapshot_id: Annotated[str, Field(pattern=r"^(snap-[0-9a-f]+)?$")] | None = Field(default=None, alias="snapshotID")
    volume_initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None


class CapacityType(ChartModel):
    """Which kinds of capacity Karpenter may buy."""

    on_demand: bool | None = None
    spot: bool | None = None


class Disruption(ChartModel):
    """When Karpenter may take a node away."""

    consolidate_after: Duration | None = None
    expire_after: Lifetime | None = None
    termination_grace_period: Annotated[str, Field(pattern=r"^([0-9]+(s|m|h))*$")] | None = None
    budgets: Annotated[list[Budget], Field(max_length=50)] | None = None


class Provisioner(ChartModel):
    """The NodePool; the guide's name for it is older than Karpenter's."""

    labels: NodeLabels | None = None
    annotations: Annotations | None = None
    capacity_type: CapacityType | None = None
    instance_type: list[GpuInstanceType] | None = None
    gpus_per_node: list[Annotated[int, Field(ge=1, le=16)]] | None = None
    extra_requirements: Annotated[list[Requirement], Field(max_length=90)] | None = None
    extra_taints: NodeTaints | None = None
    resource_limits: ResourceAmounts | None = None
    consolidation: bool | None = None
    disruption: Disruption | None = None


class NodeTemplate(ChartModel):
    """The EC2NodeClass."""

    iam_role: str | None = None
    security_group_selector: TagSelector | None = None
    subnet_selector: TagSelector | None = None
    subnet_ids: list[str] | None = None
    tags: Tags | None = None
    ami_family: Literal["Bottlerocket"] | None = None
    ami_version: Annotated[str, Field(pattern=r"^(v[0-9]+\.[0-9]+\.[0-9]+|latest)$")] | None = None
    instance_store_policy: Literal["RAID0", ""] | None = None
    os_volume: Volume | None = None
    data_volume: Volume | None = None
    user_data: UserData | None = None


class Karpenter(ChartModel):
    """The runtime's nodes: its own, or those of a pool that it shares."""

    enabled: bool | None = None
    node_pool: str | None = None
    node_pool_namespace: str | None = None
    provisioner: Provisioner | None = None
    node_template: NodeTemplate | None = None
