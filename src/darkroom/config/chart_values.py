"""The values of the runtime chart: what `extraValues` in config.yaml may say, and the chart's `values.schema.json`.

Every field may be left out: the chart's `values.yaml` has the defaults and says what each of them does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from darkroom.config.environment_values import ExtraEnvironment
from darkroom.config.karpenter_values import Karpenter
from darkroom.config.kubernetes_text import (
    LARGEST,
    Annotations,
    ChartModel,
    ImageRepository,
    Labels,
    ObjectName,
    ResourceAmounts,
    StorageSize,
)
from darkroom.config.metrics_values import AgentMetrics
from darkroom.config.pod_values import (
    Behaviour,
    CountOrPercentage,
    EgressRule,
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


# Where the chart mounts something else: of two at one place the API server takes none.
TAKEN_PATHS = ("/etc/darkroom", "/dev/shm")  # noqa: S108 - in a pod's own container


def _free_path(path: str) -> str:
    if path.rstrip("/") in TAKEN_PATHS:
        raise ValueError(f"{path} is taken in the pod: choose another")
    return path


def _free_port(port: int) -> int:
    if port in TAKEN_PORTS:
        raise ValueError(f"{port} is taken in the pod, by the agent or the trace collector: choose another")
    return port


class Image(ChartModel):
    """A container image. `digest` pins it, and then `tag` is only for people."""

    repository: ImageRepository | None = None
    tag: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")] | None = None
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] | None = None


class Resources(ChartModel):
    """What a container gets at least, and at most."""

    limits: ResourceAmounts | None = None
    requests: ResourceAmounts | None = None


class Global(ChartModel):
    """Where the runtime is."""

    aws_region: str | None = None
    stack_name: str | None = None
    runtime: str | None = None


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
    model_mount_path: Annotated[str, Field(pattern=r"^/[^\s:]+$"), AfterValidator(_free_path)] | None = None
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
    size: StorageSize | None = None
    access_modes: Annotated[list[Literal["ReadOnlyMany", "ReadWriteMany"]], Field(min_length=1)] | None = None
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
