"""The values of the runtime chart: what `extraValues` in config.yaml may say, and the chart's `values.schema.json`.

Every field may be left out: the chart's `values.yaml` has the defaults and says what each of them does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from darkroom.config.keys import InstanceType
from darkroom.config.kubernetes_text import (
    LARGEST,
    Annotations,
    ChartModel,
    Count,
    Duration,
    ImageRepository,
    Labels,
    ObjectName,
    Quantity,
)
from darkroom.config.metrics_values import AgentMetrics
from darkroom.config.node_values import Budget, NodeLabels, NodeTaint, Requirement, Tags, TagSelector, UserData
from darkroom.config.pod_values import (
    Behaviour,
    CountOrPercentage,
    EgressRule,
    ExtraEnvironment,
    Fallback,
    ScalingSchedule,
    SecurityContext,
    Toleration,
)

# What only the deployment knows; the chart takes it, and config.yaml must not say it.
DEPLOYMENT_OWNED = (
    ("global",),
    ("fastStart",),
    ("karpenter", "nodePool"),
    ("karpenter", "nodePoolNamespace"),
    ("karpenter", "nodeTemplate", "iamRole"),
    ("karpenter", "nodeTemplate", "subnetIds"),
    ("runtime", "enabled"),
    ("runtime", "type"),
    ("runtime", "serviceAccountName"),
    ("runtime", "createServiceAccount"),
    ("runtime", "inferenceApi", "modelFilename"),
    ("runtime", "queueAgent", "runtimeType"),
    ("runtime", "queueAgent", "dynamicModel"),
    ("runtime", "queueAgent", "s3Bucket"),
    ("runtime", "queueAgent", "snsTopicArn"),
    ("runtime", "queueAgent", "sqsQueueUrl"),
    ("runtime", "queueAgent", "deadLetterQueueUrl"),
    ("runtime", "queueAgent", "inputBuckets"),
    ("runtime", "queueAgent", "taskTable"),
    ("runtime", "queueAgent", "provenance"),
)

Seconds = Annotated[int, Field(ge=0, le=LARGEST)]
# The agent answers probes on the one, and sends its traces to the other.
TAKEN_PORTS = (8081, 4318)


def _free_port(port: int) -> int:
    if port in TAKEN_PORTS:
        raise ValueError(f"{port} is taken in the pod, by the agent or the trace collector: choose another")
    return port


class Image(ChartModel):
    """A container image. `digest` pins it, and then `tag` is only for people."""

    repository: ImageRepository | None = None
    tag: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")] | None = None
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] | None = None


class ResourceAmounts(ChartModel):
    """Amounts as Kubernetes counts them."""

    nvidia_gpu: Count | None = Field(default=None, alias="nvidia.com/gpu")
    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")


class Resources(ChartModel):
    """What a container gets at least, and at most."""

    limits: ResourceAmounts | None = None
    requests: ResourceAmounts | None = None


class Global(ChartModel):
    """Where the runtime is."""

    aws_region: str | None = None
    stack_name: str | None = None
    runtime: str | None = None


class Volume(ChartModel):
    """An EBS volume of a node."""

    volume_size: Annotated[str, Field(pattern=r"^[0-9]+(Gi|Ti)$")] | None = None
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
    expire_after: Duration | None = None
    termination_grace_period: Annotated[str, Field(pattern=r"^([0-9]+(s|m|h))*$")] | None = None
    budgets: Annotated[list[Budget], Field(max_length=50)] | None = None


class Provisioner(ChartModel):
    """The NodePool; the guide's name for it is older than Karpenter's."""

    labels: NodeLabels | None = None
    annotations: Annotations | None = None
    capacity_type: CapacityType | None = None
    instance_type: list[InstanceType] | None = None
    gpus_per_node: list[Annotated[int, Field(ge=1, le=16)]] | None = None
    extra_requirements: Annotated[list[Requirement], Field(max_length=90)] | None = None
    extra_taints: list[NodeTaint] | None = None
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


class Scaling(ChartModel):
    """The ScaledObject. The smallest numbers are those that KEDA takes since 2.20."""

    enabled: bool | None = None
    queue_length: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    activation_queue_length: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    cooldown_period: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    max_replica_count: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    min_replica_count: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    polling_interval: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    scale_on_in_flight: bool | None = None
    schedules: list[ScalingSchedule] | None = None
    extra_hpa_config: Behaviour | None = Field(default=None, alias="extraHPAConfig")
    fallback: Fallback | None = None


class InferenceApi(ChartModel):
    """The Stable Diffusion runtime's container."""

    image: Image | None = None
    model_filename: str | None = None
    model_mount_path: Annotated[str, Field(pattern=r"^/[^\s:]+$")] | None = None
    command_arguments: str | None = None
    extra_env: ExtraEnvironment | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    resources: Resources | None = None
    port: Annotated[int, Field(ge=1, le=65535), AfterValidator(_free_port)] | None = None
    readiness_path: Annotated[str, Field(pattern=r"^(/[^\s]*)?$")] | None = None
    startup_seconds: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    fault_seconds: Seconds | None = None
    security_context: SecurityContext | None = None


class XrayDaemonImage(ChartModel):
    """The image of the collector that hands traces to X-Ray. The name is the guide's, who ran X-Ray's daemon."""

    image: Image | None = None


class Xray(ChartModel):
    """Tracing."""

    enabled: bool | None = None
    daemon: XrayDaemonImage | None = None


class AgentProvenance(ChartModel):
    """What pictures say of their making, as config.yaml's `provenance` has it."""

    enabled: bool | None = None
    required: bool | None = None
    certificate: str | None = None
    kms_key_id: str | None = None
    timestamp_authority: str | None = None
    include_prompts: bool | None = None


class QueueAgent(ChartModel):
    """The queue agent's container."""

    image: Image | None = None
    extra_env: ExtraEnvironment | None = None
    runtime_type: str | None = None
    dynamic_model: bool | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    s3_bucket: str | None = None
    sns_topic_arn: str | None = None
    sqs_queue_url: str | None = None
    dead_letter_queue_url: str | None = None
    task_table: str | None = None
    input_buckets: list[str] | None = None
    notify_when_running: bool | None = None
    task_timeout_seconds: Annotated[int, Field(ge=1, le=36000)] | None = None
    resources: Resources | None = None
    security_context: SecurityContext | None = None
    metrics: AgentMetrics | None = None
    provenance: AgentProvenance | None = None
    xray: Xray | None = None
    # How the guide's own schema spells it.
    xray_in_capitals: Xray | None = Field(default=None, alias="XRay")


class S3Volume(ChartModel):
    """The model bucket, mounted read-only."""

    enabled: bool | None = None
    model_bucket: str | None = None
    prefix: Annotated[str, Field(pattern=r"^([^\s/][^\s]*/)?$")] | None = None
    cache_size: Annotated[str, Field(pattern=r"^([0-9]+(Mi|Gi))?$")] | None = None


class Persistence(ChartModel):
    """Where models come from."""

    enabled: bool | None = None
    existing_claim: ObjectName | None = None
    existing_volume: ObjectName | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None
    storage_class: ObjectName | Literal["-"] | None = None
    size: Quantity | None = None
    access_modes: list[Literal["ReadOnlyMany", "ReadWriteMany"]] | None = None
    s3: S3Volume | None = None


class NetworkPolicy(ChartModel):
    """Who may speak to the pods, and whom they may speak to."""

    enabled: bool | None = None
    extra_egress: list[EgressRule] | None = None


class DisruptionBudget(ChartModel):
    """How many pods may go away at once when nodes are drained."""

    enabled: bool | None = None
    max_unavailable: CountOrPercentage | None = None


class Runtime(ChartModel):
    """The pods."""

    enabled: bool | None = None
    type: str | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None
    service_account_name: str | None = None
    create_service_account: bool | None = None
    replicas: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    node_selector: Labels | None = None
    tolerations: list[Toleration] | None = None
    scaling: Scaling | None = None
    inference_api: InferenceApi | None = None
    queue_agent: QueueAgent | None = None
    persistence: Persistence | None = None
    network_policy: NetworkPolicy | None = None
    disruption_budget: DisruptionBudget | None = None


class ChartValues(ChartModel):
    """All of the chart's values."""

    global_: Global | None = Field(default=None, alias="global")
    fast_start: Literal["soci", "snapshot"] | None = None
    karpenter: Karpenter | None = None
    runtime: Runtime | None = None
