"""What config.yaml may say: the guide's keys with their defaults, and Darkroom's own beyond them.

Key names are the guide's. Everything checked here concerns one key; what concerns several is in `rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from darkroom.config.callers import CallerConfig
from darkroom.config.cluster import Alarms, ClusterAccess, ClusterComponents, Network
from darkroom.config.fit_rules import DEFAULT_TASK_TIMEOUT_SECONDS
from darkroom.config.keys import ConfigModel, DnsLabel, ReleaseName
from darkroom.config.node_pool import NodePoolConfig
from darkroom.config.openai import OpenAiConfig
from darkroom.config.provenance import Provenance
from darkroom.config.task_plane import RuntimeRoute, TaskPlane, plan_task_plane
from darkroom.config.work_off import WorkOff
from darkroom.openai.options import OpenAiOptions
from darkroom.policy.callers import DEFAULT_CALLER, CallerSpec
from darkroom.policy.catalogue import DIFFUSERS, SDWEBUI_KINDS, RuntimeSpec
from darkroom.policy.sdwebui_fields import ContentLimits
from darkroom.tasks.task import TaskKind

# What Amazon CloudWatch Logs can keep, in days.
LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 3653]
KubernetesVersion = Literal["1.34", "1.35", "1.36"]
# The newest that all parts are tested with; a test holds it to infra's list of them.
DEFAULT_KUBERNETES: KubernetesVersion = "1.35"
FastStart = Literal["soci", "snapshot"]
STACK_SUFFIX = "Stack"
BucketArn = Annotated[str, Field(pattern=r"^arn:aws(-cn|-us-gov)?:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]

KNOWN_RUNTIME_TYPES = ("sdwebui", "comfyui", DIFFUSERS)


class Throttle(ConfigModel):
    """How many requests one API key may send before it is answered 429."""

    rate_limit: Annotated[float, Field(ge=0.001, le=10_000)] = Field(
        default=30, description="requests per second for each API key, on average"
    )
    burst_limit: Annotated[int, Field(ge=1, le=5_000)] = Field(
        default=50, description="requests that may arrive at once"
    )


ORIGIN = r"^(\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)$"


class ApiGateway(ConfigModel):
    """The front door."""

    stage_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")] = Field(
        default="prod", description="the first part of the API's path"
    )
    throttle: Throttle = Throttle()
    cors_origins: Annotated[list[Annotated[str, Field(pattern=ORIGIN)]], Field(max_length=10)] = Field(
        default=[], description="web pages that may use the API from a browser, as in https://studio.example; `*`: all"
    )


class Mirrors(ConfigModel):
    """Copies of what is public otherwise, for networks that do not reach it, as in China."""

    image_registry: Annotated[str, Field(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?$")] | None = Field(
        default=None, description="registry that `darkroom images push` and `mirror` filled"
    )
    karpenter_chart: Annotated[str, Field(pattern=r"^oci://.+")] | None = Field(
        default=None, description="OCI address of Karpenter's Helm chart"
    )
    keda_chart: Annotated[str, Field(pattern=r"^(oci|https?)://.+")] | None = Field(
        default=None, description="address of KEDA's Helm chart: OCI, or the HTTP folder with its index.yaml"
    )


class RequestLimits(ConfigModel):
    """How much one request may ask of a runtime; more is refused at the front door."""

    max_steps: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=ContentLimits().max_steps, description="sampling steps that a request may ask for"
    )
    max_side: Annotated[int, Field(ge=64, le=16_384)] = Field(
        default=ContentLimits().max_side, description="pixels that a picture's side may have before it is enlarged"
    )
    max_batch_size: Annotated[int, Field(ge=1, le=256)] = Field(
        default=ContentLimits().max_batch_size, description="pictures at once (batch_size)"
    )
    max_rounds: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=ContentLimits().max_rounds, description="rounds of pictures (n_iter)"
    )

    def content_limits(self) -> ContentLimits:
        """The same, as the front door knows them."""
        return ContentLimits(**self.model_dump())


class RuntimeConfig(ConfigModel):
    """One Stable Diffusion runtime: its queue, its pods and its nodes."""

    name: ReleaseName = Field(description="the name that requests give; unique")
    namespace: Annotated[DnsLabel, Field(max_length=63)] = Field(
        default="default", description="the Kubernetes namespace, best one for each runtime"
    )
    type: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)] = Field(
        description=f"one of {', '.join(KNOWN_RUNTIME_TYPES)}, or your own together with taskTypes"
    )
    task_types: list[Annotated[TaskKind, Field(strict=False)]] = Field(
        default=[], description="the task types that a runtime of your own type accepts"
    )
    model_filename: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+$", max_length=255)] | None = Field(
        default=None, description="the checkpoint that is loaded at the start, from Stable-diffusion/ in the bucket"
    )
    dynamic_model: bool = Field(default=False, description="load whichever checkpoint a request names")
    low_priority: bool = Field(
        default=False, description="take tasks of low priority: a second queue, whose tasks wait for the others"
    )
    node_pool: ReleaseName | None = Field(
        default=None, description="run on the nodes of this pool of nodePools; not set: on nodes of its own"
    )
    limits: RequestLimits = RequestLimits()
    work_off: WorkOff | None = Field(
        default=None, description="how soon waiting tasks are to be done; not set: by how many there are (queueLength)"
    )
    device_hour_usd: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="what an hour of the runtime's device costs, for `darkroom usage`; not set: unknown"
    )
    openai: OpenAiConfig | None = Field(
        default=None, description="how clients of OpenAI's Images API are served; ComfyUI needs it for them"
    )
    chart_repository: Annotated[str, Field(pattern=r"^((oci|https?)://.+)?$")] | None = Field(
        default=None, description="where a Helm chart of your own lies; Darkroom's chart travels with the deployment"
    )
    chart_version: str | None = Field(default=None, description="the version of that chart")
    extra_values: dict[str, Any] = Field(default={}, description="values for the chart")

    @property
    def adapter(self) -> str:
        """The agent's RUNTIME_TYPE: which adapter speaks to this runtime."""
        return "sdwebui" if self.type == DIFFUSERS else self.type

    @property
    def queues(self) -> int:
        """How many queues its tasks wait in."""
        return 2 if self.low_priority else 1

    @property
    def static_model(self) -> str | None:
        """The checkpoint by whose name v1alpha1 requests are routed here, if it has one loaded for good."""
        return None if self.dynamic_model or self.adapter == "comfyui" else self.model_filename

    @property
    def snapshot_id(self) -> str | None:
        """The EBS snapshot with cached images that the node's data volume is made from."""
        found = self.extra_value("karpenter", "nodeTemplate", "dataVolume", "snapshotID")
        return found if isinstance(found, str) and found else None

    @property
    def uses_karpenter(self) -> bool:
        """Whether Karpenter makes the nodes of this runtime; where not, they are there already."""
        return self.extra_value("karpenter", "enabled") is not False

    @property
    def makes_its_nodes(self) -> bool:
        """Whether nodes and pods are one release: a chart of the user's own need not know of any other way."""
        return bool(self.chart_repository) and not self.node_pool and self.uses_karpenter

    @property
    def task_timeout_seconds(self) -> int:
        """How long a generation may take, where its request does not say."""
        found = self.extra_value("runtime", "queueAgent", "taskTimeoutSeconds")
        return found if isinstance(found, int) else DEFAULT_TASK_TIMEOUT_SECONDS

    def extra_value(self, *path: str) -> Any:
        """What `extraValues` says at this path; None where it says nothing."""
        section: Any = self.extra_values
        for key in path:
            section = section.get(key) if isinstance(section, dict) else None
        return section

    def scaling_value(self, key: str, default: int) -> int:
        """What is said below `runtime.scaling` in the chart's values, by workOff or in `extraValues`."""
        if self.work_off is not None and key in (values := self.work_off.scaling_values()):
            return values[key]
        found = self.extra_value("runtime", "scaling", key)
        return found if isinstance(found, int) else default

    def spec(self) -> RuntimeSpec:
        """The runtime as the front door knows it."""
        return RuntimeSpec(
            name=self.name,
            type=self.type,
            model=None if self.adapter == "comfyui" else self.model_filename,
            dynamic=self.dynamic_model,
            kinds=SDWEBUI_KINDS if self.type == DIFFUSERS else frozenset(self.task_types),
            limits=self.limits.content_limits(),
            device_hour_usd=self.device_hour_usd,
            low_priority=self.low_priority,
        )


class DarkroomConfig(ConfigModel):
    """The whole of config.yaml."""

    stack_name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,29}$")] = Field(
        default="sdoneks", description="names the deployment; the CloudFormation stack is this with 'Stack' behind it"
    )
    model_bucket_arn: BucketArn | None = Field(
        default=None, description="the bucket with the models; a stack on one machine needs none"
    )
    input_bucket_arns: list[BucketArn] = Field(
        default=[], description="buckets that s3:// links in requests may lead to, beside the one for pictures"
    )
    api_gateway: ApiGateway = Field(default=ApiGateway(), alias="APIGW")
    callers: list[CallerConfig] = Field(
        default=[], description="who calls, with a key and limits for each; none: one key, the guide's"
    )
    cluster: ClusterAccess = ClusterAccess()
    cluster_components: ClusterComponents = ClusterComponents()
    models_runtime: Annotated[list[RuntimeConfig], Field(min_length=1)] = Field(description="the runtimes")
    node_pools: list[NodePoolConfig] = Field(default=[], description="pools of GPU nodes that runtimes share")
    kubernetes_version: KubernetesVersion = Field(
        default=DEFAULT_KUBERNETES, description="in quotes, or 1.30 would read as 1.3"
    )
    network: Network = Network()
    fast_start: FastStart | None = Field(
        default=None,
        description="how images reach new nodes fast; not set: 'snapshot' for runtimes with a snapshotID, else 'soci'",
    )
    log_retention_days: LogRetentionDays = Field(default=30, description="how long CloudWatch keeps logs")
    alarms: Alarms = Alarms()
    provenance: Provenance = Provenance()
    mirrors: Mirrors = Mirrors()

    @property
    def cloudformation_stack_name(self) -> str:
        """The guide's stack name: `sdoneks` is deployed as `sdoneksStack`."""
        return self.stack_name + STACK_SUFFIX

    @property
    def model_bucket(self) -> str | None:
        """The name of the model bucket."""
        return self.model_bucket_arn.rpartition(":")[2] if self.model_bucket_arn else None

    @property
    def input_buckets(self) -> list[str]:
        """The names of the buckets that requests may link to."""
        return [arn.rpartition(":")[2] for arn in self.input_bucket_arns]

    def pool_of(self, runtime: RuntimeConfig) -> NodePoolConfig | None:
        """The pool of nodes that this runtime shares with others; None where it has nodes of its own."""
        return next((pool for pool in self.node_pools if pool.name == runtime.node_pool), None)

    def node_values_of(self, runtime: RuntimeConfig) -> dict[str, Any]:
        """What is said of this runtime's nodes, its own or its pool's, as the chart's values below `karpenter`."""
        pool = self.pool_of(runtime)
        own: dict[str, Any] = runtime.extra_values.get("karpenter", {})
        return own if pool is None else pool.chart_values()

    def fast_start_of(self, nodes: RuntimeConfig | NodePoolConfig) -> FastStart:
        """How images reach a new node of this pool, or of this runtime, fast."""
        if isinstance(nodes, RuntimeConfig):
            nodes = self.pool_of(nodes) or nodes
        return self.fast_start or ("snapshot" if nodes.snapshot_id else "soci")

    def catalogue_specs(self) -> list[RuntimeSpec]:
        """The runtimes as the front door knows them."""
        return [runtime.spec() for runtime in self.models_runtime]

    def openai_options(self) -> OpenAiOptions:
        """What is said of the runtimes for OpenAI's API."""
        return {runtime.name: runtime.openai.options() for runtime in self.models_runtime if runtime.openai}

    def caller_specs(self) -> list[CallerSpec]:
        """The callers with all their limits; where none is named, the one that there is then."""
        throttle = self.api_gateway.throttle
        return [
            CallerSpec(
                name=caller.name,
                rate_limit=throttle.rate_limit if caller.rate_limit is None else caller.rate_limit,
                burst_limit=throttle.burst_limit if caller.burst_limit is None else caller.burst_limit,
                monthly_tasks=caller.monthly_tasks,
                role=caller.role,
            )
            for caller in self.callers or [CallerConfig(name=DEFAULT_CALLER)]
        ]

    def task_plane(self, *, with_events: bool = False) -> TaskPlane:
        """The topics, queues, bucket and table that these runtimes need, and a gateway that tells of events."""
        routes = [
            RuntimeRoute(runtime.name, runtime.static_model, low_priority=runtime.low_priority)
            for runtime in self.models_runtime
        ]
        webhook_callers = [caller.name for caller in self.callers if caller.webhook is not None]
        pages = self.api_gateway.cors_origins
        return plan_task_plane(routes, with_events=with_events, webhook_callers=webhook_callers, page_origins=pages)
