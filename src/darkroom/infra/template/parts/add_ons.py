"""What the cluster needs beside Karpenter: KEDA, the S3 volumes of the models, logs and metrics of pods and GPUs."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from darkroom.infra.template import versions
from darkroom.infra.template.add_on_values import observability_values
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.pins import MOUNTPOINT_ADD_ON, OBSERVABILITY_ADD_ON

KEDA_NAMESPACE = "keda"
KEDA_OPERATOR = "keda-operator"


class AddOns(Construct):
    """`charts` are what a runtime's chart has to wait for, because it makes objects of their kinds."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        cluster: Cluster,
        queues: list[sqs.Queue],
        model_bucket_arn: str | None,
        keda_repository: str,
        registry: str | None,
        *,
        container_insights: bool,
        agent_metrics: bool,
    ) -> None:
        super().__init__(scope, id_)
        self.charts: list[Construct] = [self._keda(cluster, queues, keda_repository, registry)]
        if model_bucket_arn is not None:
            self.charts.append(self._mountpoint(cluster, model_bucket_arn))
        values = observability_values(container_insights=container_insights, agent_metrics=agent_metrics)
        self._observability(cluster, values)

    def _keda(self, cluster: Cluster, queues: list[sqs.Queue], repository: str, registry: str | None) -> Construct:
        role = cluster.pod_role(self, "KedaRole")
        role.add_to_policy(
            iam.PolicyStatement(actions=["sqs:GetQueueAttributes"], resources=[queue.queue_arn for queue in queues])
        )
        association = cluster.associate(self, "KedaIdentity", KEDA_NAMESPACE, KEDA_OPERATOR, role)
        return cluster.add_component(
            "Keda",
            "keda",
            repository=repository,
            version=versions.KEDA,
            namespace=KEDA_NAMESPACE,
            create_namespace=True,
            needs=[association],
            wait=True,
            values={
                "serviceAccount": {"operator": {"create": True, "name": KEDA_OPERATOR}},
                # Two, so that one node can go away while the other decides about replicas.
                "operator": {"replicaCount": min(2, cluster.component_nodes)},
                **({"global": {"image": {"registry": registry}}} if registry else {}),
            },
        )

    def _mountpoint(self, cluster: Cluster, model_bucket_arn: str) -> Construct:
        bucket = s3.Bucket.from_bucket_arn(self, "ModelBucket", model_bucket_arn)
        role = cluster.pod_role(self, "MountpointRole")
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn]))
        role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects("*")]))
        values: dict[str, Any] = {"node": {"tolerateAllTaints": True}}
        return cluster.add_managed_add_on(MOUNTPOINT_ADD_ON, values, "s3-csi-driver-sa", role)

    def _observability(self, cluster: Cluster, values: dict[str, Any]) -> Construct:
        """Fluent Bit's logs and Container Insights come with one add-on."""
        role = cluster.pod_role(self, "CloudWatchRole")
        role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name("CloudWatchAgentServerPolicy"))
        return cluster.add_managed_add_on(OBSERVABILITY_ADD_ON, values, "cloudwatch-agent", role)
