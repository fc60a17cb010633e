"""Karpenter: finds the cheapest GPU node for a waiting pod, and takes it away again."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from darkroom.config.partition import PartitionFacts
from darkroom.infra.template import versions
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.parts.instance_role import instance_role
from darkroom.infra.template.parts.karpenter_policies import controller_policies

NAMESPACE = "kube-system"
# Two, so that one node can go away while the other decides.
REPLICAS = 2
SERVICE_ACCOUNT = "karpenter"
INTERRUPTION_RETENTION_SECONDS = 300
# What EventBridge tells about instances that are going away: source and detail type.
INTERRUPTIONS = {
    "ScheduledChange": ("aws.health", "AWS Health Event"),
    "SpotInterruption": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "Rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "InstanceStateChange": ("aws.ec2", "EC2 Instance State-change Notification"),
    "CapacityReservationInterruption": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}


class Karpenter(Construct):
    """`chart` is the controller; `node_role` is what the nodes that it makes are allowed to do."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        cluster: Cluster,
        chart_repository: str,
        facts: PartitionFacts,
        registry: str | None,
    ) -> None:
        super().__init__(scope, id_)
        self._cluster = cluster
        self.node_role = instance_role(self, "NodeRole", facts, ["AmazonSSMManagedInstanceCore"])
        access = eks.CfnAccessEntry(
            self,
            "NodeAccess",
            cluster_name=cluster.eks.cluster_name,
            principal_arn=self.node_role.role_arn,
            type="EC2_LINUX",
        )
        queue, rules = self._interruption_queue()
        role = cluster.pod_role(self, "ControllerRole")
        policies = controller_policies(
            partition=Stack.of(self).partition,
            region=Stack.of(self).region,
            account=Stack.of(self).account,
            cluster_name=Stack.of(self).stack_name,
            cluster_arn=cluster.eks.cluster_arn,
            node_role_arn=self.node_role.role_arn,
            queue_arn=queue.queue_arn,
            ec2_principal=facts.ec2_principal,
        )
        for name, statements in policies.items():
            policy = iam.ManagedPolicy(
                self,
                name,
                description=f"Karpenter: {name}",
                statements=[iam.PolicyStatement.from_json(statement) for statement in statements],
            )
            role.add_managed_policy(policy)
        association = cluster.associate(self, "Identity", NAMESPACE, SERVICE_ACCOUNT, role)
        # Helm installs what a chart has in crds/ once and never again, so their own chart brings them up to date.
        definitions = cluster.add_component(
            "KarpenterDefinitions",
            "karpenter-crd",
            repository=f"{chart_repository}-crd",
            version=versions.KARPENTER,
            namespace=NAMESPACE,
            create_namespace=False,
        )
        self.chart = cluster.add_component(
            "Karpenter",
            "karpenter",
            repository=chart_repository,
            version=versions.KARPENTER,
            namespace=NAMESPACE,
            create_namespace=False,
            # All that Karpenter works with, so that it can end the last node when everything is removed.
            needs=[association, access, queue, *rules, definitions],
            wait=True,
            values={
                # Their pods refuse to share a node.
                "replicas": min(REPLICAS, cluster.component_nodes),
                "serviceAccount": {"create": True, "name": SERVICE_ACCOUNT},
                "settings": {
                    "clusterName": cluster.eks.cluster_name,
                    "clusterEndpoint": cluster.eks.cluster_endpoint,
                    "interruptionQueue": queue.queue_name,
                },
                # EKS Pod Identity and the cluster's DNS must not depend on nodes that Karpenter is to make.
                "dnsPolicy": "Default",
                **({"controller": {"image": {"repository": f"{registry}/karpenter/controller"}}} if registry else {}),
            },
        )

    def _interruption_queue(self) -> tuple[sqs.Queue, list[events.Rule]]:
        queue = sqs.Queue(
            self,
            "Interruptions",
            queue_name=Stack.of(self).stack_name,
            retention_period=Duration.seconds(INTERRUPTION_RETENTION_SECONDS),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        rules = []
        for name, (source, detail_type) in INTERRUPTIONS.items():
            pattern = events.EventPattern(source=[source], detail_type=[detail_type])
            rules.append(events.Rule(self, name, event_pattern=pattern, targets=[targets.SqsQueue(queue)]))
        return queue, rules
