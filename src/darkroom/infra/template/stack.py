"""The stack: its parts, who depends on whom, and the guide's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import CfnOutput, Fn, Stack, Tags
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from darkroom.config.model import DarkroomConfig
from darkroom.config.partition import partition_facts
from darkroom.config.runtime_facts import RuntimeFacts, encode_runtime_facts
from darkroom.infra.template.parts.add_ons import AddOns
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.parts.cluster_logs import ClusterLogs
from darkroom.infra.template.parts.cluster_watch import watch_cluster
from darkroom.infra.template.parts.existing_cluster import ExistingCluster
from darkroom.infra.template.parts.front_door import FrontDoor
from darkroom.infra.template.parts.karpenter import Karpenter
from darkroom.infra.template.parts.network import ZONES, ZONES_MOST_ACCOUNTS_HAVE, Network
from darkroom.infra.template.parts.node_pools import NodePools
from darkroom.infra.template.parts.observability import COST_TAG, Observability, allow_topic_tracing
from darkroom.infra.template.parts.runtime import Identity, Namespaces, Runtime
from darkroom.infra.template.parts.task_plane import TaskPlaneResources
from darkroom.infra.template.parts.webhooks import WebhookSender
from darkroom.infra.template.pins import Pins, encode_pins
from darkroom.policy.callers import encode_callers

# Public, unless config.yaml names mirrors.
KARPENTER_REPOSITORY = "oci://public.ecr.aws/karpenter/karpenter"
KEDA_REPOSITORY = "https://kedacore.github.io/charts"


@dataclass(frozen=True)
class StackOptions:
    """What is not in config.yaml: where, and with which code, of the front door and of the sender of webhooks.

    `pins`: the versions of nodes and add-ons; without, each is what EKS takes by itself.
    `task_plane_only` leaves out all but the front door, topics, queues, bucket and table, which come out the same.
    """

    region: str
    lambda_bundle: Path
    sender_bundle: Path
    chart: Path
    task_plane_only: bool = False
    pins: Pins | None = None


class DarkroomStack(Stack):
    """Everything that `darkroom deploy` makes, except the buckets and images that outlive it."""

    def __init__(
        self, scope: Construct, id_: str, config: DarkroomConfig, options: StackOptions, **arguments: Any
    ) -> None:
        self._zones = config.network.availability_zones
        self._options = options
        super().__init__(scope, id_, **arguments)
        self._config = config
        self._pins = options.pins or Pins(kubernetes=config.kubernetes_version)
        self._facts = partition_facts(options.region)
        Tags.of(self).add(COST_TAG, config.cloudformation_stack_name)
        log_retention = _RETENTION[config.log_retention_days]
        tasks = TaskPlaneResources(self, "TaskPlane", config.task_plane(), topic_tracing=self._facts.topic_tracing)
        front_door = FrontDoor(self, "FrontDoor", config, tasks, options.lambda_bundle, log_retention)
        webhooks = WebhookSender(self, "Webhooks", config, tasks, options.sender_bundle, log_retention)
        self._task_plane_outputs(tasks, front_door, webhooks)
        if options.task_plane_only:
            return
        if self._facts.topic_tracing:
            allow_topic_tracing(self)
        watch = Observability(
            self, "Observability", config, tasks, front_door, webhooks, budgets_exist=self._facts.budgets
        )
        if config.cluster.name is None:
            self._cluster(tasks, watch, log_retention)
        else:
            there = ExistingCluster(self, "There", config, tasks, tracing=self._facts.topic_tracing)
            self._output("ClusterName", config.cluster.name, "the EKS cluster, which was there before")
            for name, policy in there.policies.items():
                self._output(name, policy.managed_policy_arn, "for the role of that component in the cluster")

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """The zones: those of the configuration, which `darkroom deploy` chooses where the user does not.

        Without an account to look at, they are the region's first ones, which CloudFormation finds out.
        """
        count = ZONES_MOST_ACCOUNTS_HAVE.get(self._options.region, ZONES)
        return list(self._zones or [Fn.select(index, Fn.get_azs()) for index in range(count)])

    def _cluster(self, tasks: TaskPlaneResources, watch: Observability, log_retention: logs.RetentionDays) -> None:
        config, options, pins = self._config, self._options, self._pins
        network = Network(self, "Network", config.network, log_retention)
        has_control_plane_logs = bool(config.cluster.control_plane_logs)
        cluster_logs = ClusterLogs(self, "ClusterLogs", log_retention, control_plane=has_control_plane_logs)
        watch_cluster(watch, config, tasks, cluster_logs)
        cluster = Cluster(self, "Eks", config, network.vpc, self._facts, cluster_logs, pins)
        mirrors = config.mirrors
        karpenter = Karpenter(
            self,
            "Karpenter",
            cluster,
            mirrors.karpenter_chart or KARPENTER_REPOSITORY,
            self._facts,
            mirrors.image_registry,
        )
        add_ons = AddOns(
            self,
            "AddOns",
            cluster,
            tasks.task_queues,
            config.model_bucket_arn,
            mirrors.keda_chart or KEDA_REPOSITORY,
            mirrors.image_registry,
            container_insights=config.cluster.container_insights,
            agent_metrics=config.cluster.agent_metrics,
        )
        chart = assets.Asset(self, "Chart", path=str(options.chart))
        # Removing a namespace waits for all that is in it, also for what KEDA has to let go of.
        namespaces = Namespaces(self, "Namespaces", cluster, add_ons.charts)
        tracing = self._facts.topic_tracing
        identities = {
            runtime.name: Identity(
                self,
                f"Runtime-{runtime.name}",
                config=config,
                runtime=runtime,
                cluster=cluster,
                tasks=tasks,
                namespace=namespaces.of(runtime.namespace),
                tracing=tracing,
            )
            for runtime in config.models_runtime
        }
        needs = {name: identity.needs for name, identity in identities.items()}
        pools = NodePools(self, "NodePools", config, cluster, karpenter, chart, pins.bottlerocket, needs)
        for runtime in config.models_runtime:
            Runtime(
                identities[runtime.name],
                "Pods",
                config=config,
                runtime=runtime,
                cluster=cluster,
                karpenter=karpenter,
                tasks=tasks,
                chart=chart,
                needs=[*add_ons.charts, *identities[runtime.name].needs, *pools.of(runtime)],
                tracing=tracing,
                bottlerocket_version=pins.bottlerocket,
            )
        command = f"aws eks update-kubeconfig --name {cluster.eks.cluster_name} --region {self.region}"
        self._output("ClusterName", cluster.eks.cluster_name, "the EKS cluster")
        self._output(
            "ConfigCommand", f"{command} --role-arn {cluster.access_role.role_arn}", "lets kubectl speak to the cluster"
        )

    def _task_plane_outputs(self, tasks: TaskPlaneResources, front_door: FrontDoor, webhooks: WebhookSender) -> None:
        query = f"items[?id==`{front_door.key_id}`].value"
        self._output("FrontApiEndpoint", front_door.api.url, "where clients send requests")
        self._output("OpenAIBaseUrl", front_door.openai.url, "base_url for clients of OpenAI's Images API")
        self._output(
            "GetAPIKeyCommand",
            f"aws apigateway get-api-keys --query '{query}' --include-values --output text",
            "prints the API key",
        )
        self._output("ApiKeyId", front_door.key_id, "names the API key")
        # Whoever finds callers knows that their names, and not their keys' ids, stand in records.
        name = "Callers" if self._config.callers else "OnlyCaller"
        self._output(name, encode_callers(front_door.callers), "what darkroom callers asks for: names, no keys")
        self._output("sdNotificationLambdaARN", tasks.input_topic.topic_arn, "the topic that takes tasks directly")
        self._output(
            "sdNotificationOutputArn", tasks.output_topic.topic_arn, "the topic that tells when a task is done"
        )
        self._output("OutputS3Bucket", tasks.bucket.bucket_arn, "the bucket for the pictures")
        self._output("TaskTable", tasks.table.table_name, "the table of task records")
        self._output("WebhookQueue", tasks.webhook_queue.queue_url, "where the sender is asked to send one again")
        self._output("WebhookKeys", webhooks.keys.secret_arn, "the secret that webhooks are signed with")
        runtimes = [
            RuntimeFacts(
                name=runtime.name,
                type=runtime.type,
                queue_url=tasks.queues[runtime.name].queue_url,
                dead_letter_queue_url=tasks.dead_letters[runtime.name].queue_url,
                low_queue_url=low.queue_url if (low := tasks.low_queues.get(runtime.name)) else None,
                namespace=runtime.namespace,
            )
            for runtime in self._config.models_runtime
        ]
        self._output("Versions", encode_pins(self._pins), "what the next deployment keeps; --upgrade takes newer ones")
        self._output("Runtimes", encode_runtime_facts(runtimes), "what darkroom verify, submit and dlq ask for")

    def _output(self, name: str, value: str, description: str) -> None:
        CfnOutput(self, f"Output{name}", value=value, description=description).override_logical_id(name)


_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    2557: logs.RetentionDays.SEVEN_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
