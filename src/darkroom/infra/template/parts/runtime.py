"""One runtime in the cluster: its namespace, its identity, and its pods' chart."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.infra.template.chart_values import runtime_values, service_account_of
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.parts.karpenter import Karpenter
from darkroom.infra.template.parts.task_plane import TaskPlaneResources


class Namespaces(Construct):
    """Makes each namespace once, however many runtimes are in it; `of` returns what its contents wait for."""

    def __init__(self, scope: Construct, id_: str, cluster: Cluster, needs: list[Construct]) -> None:
        super().__init__(scope, id_)
        self._cluster = cluster
        self._needs = needs
        self._made: dict[str, eks.KubernetesManifest] = {}

    def of(self, name: str) -> list[Construct]:
        """The namespace as a dependency; nothing for `default`, which every cluster has."""
        if name == "default":
            return []
        if name not in self._made:
            manifest = self._cluster.eks.add_manifest(
                f"Namespace-{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )
            manifest.node.add_dependency(*self._cluster.ready, *self._needs)
            self._made[name] = manifest
        return [self._made[name]]


class Identity(Construct):
    """The pods' service account and role. `needs` is what a pod needs to end its task, and so outlives its node."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: DarkroomConfig,
        runtime: RuntimeConfig,
        cluster: Cluster,
        tasks: TaskPlaneResources,
        namespace: list[Construct],
        tracing: bool,
    ) -> None:
        super().__init__(scope, id_)
        service_account = cluster.eks.add_manifest(
            f"ServiceAccount-{runtime.name}",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": service_account_of(runtime), "namespace": runtime.namespace},
            },
        )
        service_account.node.add_dependency(*cluster.ready, *namespace)
        role = cluster.pod_role(self, "Role")
        for statement in agent_statements(config, runtime, tasks, tracing=tracing):
            role.add_to_policy(statement)
        association = cluster.associate(self, "Identity", runtime.namespace, service_account_of(runtime), role)
        self.needs: list[Construct] = [association, role, service_account, tasks]


class Runtime(Construct):
    """The chart that makes the pods and what scales them."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: DarkroomConfig,
        runtime: RuntimeConfig,
        cluster: Cluster,
        karpenter: Karpenter,
        tasks: TaskPlaneResources,
        chart: assets.Asset,
        needs: list[Construct],
        tracing: bool,
        bottlerocket_version: str | None,
    ) -> None:
        super().__init__(scope, id_)
        values = runtime_values(
            config,
            runtime,
            region=Stack.of(self).region,
            queue_url=tasks.queues[runtime.name].queue_url,
            dead_letter_queue_url=tasks.dead_letters[runtime.name].queue_url,
            low_queue_url=low.queue_url if (low := tasks.low_queues.get(runtime.name)) else None,
            output_topic_arn=tasks.output_topic.topic_arn,
            output_bucket=tasks.bucket.bucket_name,
            task_table=tasks.table.table_name,
            node_role_name=karpenter.node_role.role_name,
            tracing=tracing,
            bottlerocket_version=bottlerocket_version,
        )
        options: dict[str, Any] = {
            "release": runtime.name,
            "namespace": runtime.namespace,
            "create_namespace": False,
            # Pods are not waited for: there may be none, or they need ten minutes for their nodes and models.
            "timeout": Duration.minutes(10),
            "values": values,
        }
        if runtime.chart_repository:
            repository, _, name = runtime.chart_repository.rpartition("/")
            # An OCI address names the chart itself; an HTTP one names the folder with index.yaml.
            is_oci = runtime.chart_repository.startswith("oci://")
            options["chart"] = name if is_oci else "darkroom-runtime"
            options["repository"] = runtime.chart_repository if is_oci else f"{repository}/{name}"
            options["version"] = runtime.chart_version
        else:
            options["chart_asset"] = chart
        release = cluster.eks.add_helm_chart(f"Runtime-{runtime.name}", **options)
        release.node.add_dependency(karpenter.chart, *needs)


def agent_statements(
    config: DarkroomConfig, runtime: RuntimeConfig, tasks: TaskPlaneResources, *, tracing: bool
) -> list[iam.PolicyStatement]:
    """What the agent may do, and no more: take its tasks, read links into the bucket, store pictures, and tell.

    It takes dead letters too: of those that SQS made by itself, nobody else would tell.
    """
    queues = [queue.queue_arn for queue in tasks.queues_of(runtime.name)]
    dead_letters = tasks.dead_letters[runtime.name].queue_arn
    statements = [
        iam.PolicyStatement(
            sid="TakeTasks",
            actions=[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            resources=[*queues, dead_letters],
        ),
        iam.PolicyStatement(
            sid="SetAsideAndStartOver",
            actions=["sqs:SendMessage"],
            resources=[dead_letters, *queues],
        ),
        iam.PolicyStatement(
            sid="ReadInputsAndStorePictures",
            actions=["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            resources=[tasks.bucket.arn_for_objects("*")],
        ),
        # Without it, S3 answers 403 for an object that is not there, and "not done yet" looks like a fault.
        iam.PolicyStatement(sid="TellMissing", actions=["s3:ListBucket"], resources=[tasks.bucket.bucket_arn]),
        iam.PolicyStatement(sid="Notify", actions=["sns:Publish"], resources=[tasks.output_topic.topic_arn]),
        iam.PolicyStatement(
            sid="KeepRecords",
            actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
            resources=[tasks.table.table_arn],
            conditions=_only_items(
                "submission/*", "task/*", "progress/*", f"usage/*/{runtime.name}/*", f"agent/{runtime.name}/*"
            ),
        ),
        iam.PolicyStatement(
            sid="TakeHeartbeatAway",
            actions=["dynamodb:DeleteItem"],
            resources=[tasks.table.table_arn],
            conditions=_only_items(f"agent/{runtime.name}/*"),
        ),
    ]
    if config.input_bucket_arns:
        inputs = [f"{arn}/*" for arn in config.input_bucket_arns]
        statements.append(iam.PolicyStatement(sid="ReadLinkedInputs", actions=["s3:GetObject"], resources=inputs))
    signing = config.provenance
    if signing.enabled and signing.certificate is not None:
        statements.append(
            iam.PolicyStatement(
                sid="ReadSigningCertificate",
                actions=["secretsmanager:GetSecretValue"],
                resources=[signing.certificate],
            )
        )
        if signing.kms_key_id is not None:
            statements.append(
                iam.PolicyStatement(sid="SignPictures", actions=["kms:Sign"], resources=[signing.kms_key_id])
            )
    if tracing:
        statements.append(iam.PolicyStatement(sid="Trace", actions=["xray:PutTraceSegments"], resources=["*"]))
    return statements


def _only_items(*keys: str) -> dict[str, dict[str, list[str]]]:
    """The condition that only items of the table are touched whose keys are like these."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)}}
