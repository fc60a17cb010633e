"""What config.yaml says of where runtimes run: the cluster and its network, and who is told when something is wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkroom.config.keys import AvailabilityZone, Cidr, ConfigModel, InstanceType, PrincipalArn, RoleName

DEFAULT_COMPONENT_NODES = 2


class ClusterComponents(ConfigModel):
    """The nodes that KEDA, Karpenter and the other components run on; runtimes have nodes of their own."""

    instance_type: InstanceType = Field(default="m7g.large", description="EC2 instance type, Graviton or x86")
    desired_count: Annotated[int, Field(ge=1, le=20)] = Field(
        default=DEFAULT_COMPONENT_NODES, description="number of nodes"
    )
    minimum_count: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="fewest nodes that the group can be set to by hand; not set: desiredCount"
    )
    maximum_count: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="most nodes that it can be set to; not set: one more than desiredCount"
    )

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most nodes."""
        return self.minimum_count or self.desired_count, self.maximum_count or self.desired_count + 1


class Network(ConfigModel):
    """The VPC: a new one, or an existing one by its id."""

    cidr: Annotated[str, Field(pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$")] = Field(
        default="10.0.0.0/16", description="addresses of the new VPC; a /16 holds three public and three private /19"
    )
    nat_gateways: Annotated[int, Field(ge=1, le=3)] = Field(
        default=3, description="3 as in the guide, at most one for each zone; 1 costs a third and depends on one zone"
    )
    availability_zones: list[AvailabilityZone] | None = Field(
        default=None,
        min_length=2,
        max_length=3,
        description="two or three zones of the region; not set: chosen among those that EKS takes and that have GPUs",
    )
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$")] | None = Field(
        default=None,
        description="use this VPC instead of making one; privateSubnetIds and availabilityZones go with it",
    )
    private_subnet_ids: list[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]] | None = Field(
        default=None, min_length=2, max_length=3, description="its private subnets, one in each of availabilityZones"
    )


class ClusterAccess(ConfigModel):
    """A cluster that is there already, or who reaches the one that is made, and what it tells."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")] | None = Field(
        default=None, description="an EKS cluster that you have; not set: one is made"
    )
    node_role: RoleName | None = Field(
        default=None, description="with name: the role of the nodes that your Karpenter makes"
    )
    keda_role: RoleName | None = Field(
        default=None, description="with name: the role of your KEDA's operator, which then may look at the queues"
    )
    mountpoint_role: RoleName | None = Field(
        default=None, description="with name: the role of your Mountpoint driver, which then may read the models"
    )
    charts: Literal["deployment", "gitops"] = Field(
        default="deployment", description="with name: who installs the runtimes' charts, `darkroom deploy` or you"
    )
    public_access_cidrs: list[Cidr] = Field(
        default=["0.0.0.0/0"],
        description="networks that reach the cluster's public endpoint; [] closes it: kubectl works in the VPC only",
    )
    administrators: list[PrincipalArn] = Field(
        default=[],
        description="roles and users who may assume the cluster's access role; none: whoever in the account may "
        "assume any role",
    )
    control_plane_logs: list[Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]] = Field(
        default=["audit", "authenticator"], description="EKS's own logs: who did what in the cluster; [] for none"
    )
    container_insights: bool = Field(
        default=True, description="metrics of nodes and pods, and the alarms that are made of them"
    )
    agent_metrics: bool = Field(
        default=True,
        description="the agents' figures in CloudWatch: how long tasks wait, duty, how tasks end; some 2 dollars a "
        "month for a runtime that works all day",
    )

    @property
    def is_private(self) -> bool:
        """Whether the cluster's API is reached from within the VPC only."""
        return not self.public_access_cidrs


class Alarms(ConfigModel):
    """Who is told when something is wrong, and what counts as wrong."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = Field(
        default=None, description="address that alarms are sent to; it has to confirm the subscription once"
    )
    topic_arn: Annotated[str, Field(pattern=r"^arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")] | None = (
        Field(default=None, description="a topic of your own that alarms go to, in place of one that is made")
    )
    queue_age_seconds: Annotated[int, Field(ge=60)] = Field(
        default=1800, description="alarm when the oldest waiting task is older than this"
    )
    stuck_minutes: Annotated[int, Field(ge=10, le=1440)] = Field(
        default=30, description="alarm when nodes are up and tasks wait, and nothing was done for so many minutes"
    )
    monthly_spend_usd: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="AWS Budgets alarm for the stack's tagged cost in a month; none if not set"
    )
    idle_node_minutes: Annotated[int, Field(ge=5, le=1440)] = Field(
        default=60, description="alarm when GPU nodes are up for so many minutes in which no task came or ended"
    )

    @property
    def has_listener(self) -> bool:
        """Whether anybody is told."""
        return self.email is not None or self.topic_arn is not None
