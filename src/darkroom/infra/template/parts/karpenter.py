"""Karpenter: finds the cheapest GPU node for a waiting pod, and takes it away again.

The controller's permissions are Karpenter's six documented policies, bound to the cluster's tags where EC2 lets it.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from darkroom.infra.template import versions
from darkroom.infra.template.partition import PartitionFacts
from darkroom.infra.template.parts.cluster import CHART_TIMEOUT, Cluster
from darkroom.infra.template.parts.instance_role import instance_role

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
        definitions = cluster.eks.add_helm_chart(
            "KarpenterDefinitions",
            chart="karpenter-crd",
            repository=f"{chart_repository}-crd",
            version=versions.KARPENTER,
            namespace=NAMESPACE,
            create_namespace=False,
            release="karpenter-crd",
            timeout=CHART_TIMEOUT,
        )
        definitions.node.add_dependency(*cluster.ready)
        self.chart = cluster.eks.add_helm_chart(
            "Karpenter",
            chart="karpenter",
            repository=chart_repository,
            version=versions.KARPENTER,
            namespace=NAMESPACE,
            create_namespace=False,
            release="karpenter",
            wait=True,
            timeout=CHART_TIMEOUT,
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
        # All that Karpenter works with, so that it can end the last node when everything is removed.
        self.chart.node.add_dependency(association, access, queue, *rules, definitions, *cluster.ready)

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


def controller_policies(
    *,
    partition: str,
    region: str,
    account: str,
    cluster_name: str,
    cluster_arn: str,
    node_role_arn: str,
    queue_arn: str,
    ec2_principal: str,
) -> dict[str, list[dict[str, Any]]]:
    """The statements of the controller's policies, by name, as Karpenter documents them for version 1."""
    ec2 = f"arn:{partition}:ec2:{region}"
    owned = f"kubernetes.io/cluster/{cluster_name}"
    nodepool = "karpenter.sh/nodepool"
    profiles = f"arn:{partition}:iam::{account}:instance-profile/*"
    request_tags = {f"aws:RequestTag/{owned}": "owned", "aws:RequestTag/eks:eks-cluster-name": cluster_name}
    resource_tags = {f"aws:ResourceTag/{owned}": "owned"}
    in_region = {"topology.kubernetes.io/region": region}
    profile_request = {**request_tags, **{f"aws:RequestTag/{key}": value for key, value in in_region.items()}}
    profile_resource = {**resource_tags, **{f"aws:ResourceTag/{key}": value for key, value in in_region.items()}}
    has_class = "karpenter.k8s.aws/ec2nodeclass"
    makes = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
    return {
        "NodeLifecycle": [
            {
                "Sid": "UseImagesAndNetworks",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
                "Resource": [
                    f"{ec2}::image/*",
                    f"{ec2}::snapshot/*",
                    f"{ec2}:*:security-group/*",
                    f"{ec2}:*:subnet/*",
                    f"{ec2}:*:capacity-reservation/*",
                    f"{ec2}:*:placement-group/*",
                ],
            },
            {
                "Sid": "UseOwnLaunchTemplates",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
                "Resource": f"{ec2}:*:launch-template/*",
                "Condition": {"StringEquals": resource_tags, "StringLike": {f"aws:ResourceTag/{nodepool}": "*"}},
            },
            {
                "Sid": "MakeTaggedNodes",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"],
                "Resource": [f"{ec2}:*:{kind}/*" for kind in makes],
                "Condition": {"StringEquals": request_tags, "StringLike": {f"aws:RequestTag/{nodepool}": "*"}},
            },
            {
                "Sid": "TagWhatIsBeingMade",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": [f"{ec2}:*:{kind}/*" for kind in makes],
                "Condition": {
                    "StringEquals": {
                        **request_tags,
                        "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
                    },
                    "StringLike": {f"aws:RequestTag/{nodepool}": "*"},
                },
            },
            {
                "Sid": "TagOwnInstances",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": f"{ec2}:*:instance/*",
                "Condition": {
                    "StringEquals": resource_tags,
                    "StringLike": {f"aws:ResourceTag/{nodepool}": "*"},
                    "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": cluster_name},
                    "ForAllValues:StringEquals": {
                        "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                    },
                },
            },
            {
                "Sid": "RemoveOwnNodes",
                "Effect": "Allow",
                "Action": ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
                "Resource": [f"{ec2}:*:instance/*", f"{ec2}:*:launch-template/*"],
                "Condition": {"StringEquals": resource_tags, "StringLike": {f"aws:ResourceTag/{nodepool}": "*"}},
            },
        ],
        "IamIntegration": [
            {
                "Sid": "PassTheNodeRole",
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": node_role_arn,
                "Condition": {"StringEquals": {"iam:PassedToService": ec2_principal}},
            },
            {
                "Sid": "MakeInstanceProfiles",
                "Effect": "Allow",
                "Action": "iam:CreateInstanceProfile",
                "Resource": profiles,
                "Condition": {"StringEquals": profile_request, "StringLike": {f"aws:RequestTag/{has_class}": "*"}},
            },
            {
                "Sid": "TagInstanceProfiles",
                "Effect": "Allow",
                "Action": "iam:TagInstanceProfile",
                "Resource": profiles,
                "Condition": {
                    "StringEquals": {**profile_resource, **profile_request},
                    "StringLike": {f"aws:ResourceTag/{has_class}": "*", f"aws:RequestTag/{has_class}": "*"},
                },
            },
            {
                "Sid": "ChangeOwnInstanceProfiles",
                "Effect": "Allow",
                "Action": [
                    "iam:AddRoleToInstanceProfile",
                    "iam:RemoveRoleFromInstanceProfile",
                    "iam:DeleteInstanceProfile",
                ],
                "Resource": profiles,
                "Condition": {"StringEquals": profile_resource, "StringLike": {f"aws:ResourceTag/{has_class}": "*"}},
            },
        ],
        "EksIntegration": [
            {"Sid": "FindTheCluster", "Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": cluster_arn}
        ],
        "Interruption": [
            {
                "Sid": "ReadInterruptions",
                "Effect": "Allow",
                "Action": ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
                "Resource": queue_arn,
            }
        ],
        "ZonalShift": [
            {
                "Sid": "SeeZonalShifts",
                "Effect": "Allow",
                "Action": ["arc-zonal-shift:GetManagedResource"],
                "Resource": cluster_arn,
            }
        ],
        "ResourceDiscovery": [
            {
                "Sid": "ReadTheRegion",
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeCapacityReservations",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstances",
                    "ec2:DescribeInstanceStatus",
                    "ec2:DescribeInstanceTypeOfferings",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeLaunchTemplates",
                    "ec2:DescribePlacementGroups",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSpotPriceHistory",
                    "ec2:DescribeSubnets",
                ],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": region}},
            },
            {
                "Sid": "ReadImageParameters",
                "Effect": "Allow",
                "Action": "ssm:GetParameter",
                "Resource": f"arn:{partition}:ssm:{region}::parameter/aws/service/*",
            },
            {"Sid": "ReadPrices", "Effect": "Allow", "Action": "pricing:GetProducts", "Resource": "*"},
            {
                "Sid": "ReadInstanceProfiles",
                "Effect": "Allow",
                "Action": "iam:GetInstanceProfile",
                "Resource": profiles,
            },
            {
                "Sid": "ListInstanceProfiles",
                "Effect": "Allow",
                "Action": "iam:ListInstanceProfiles",
                "Resource": "*",
            },
        ],
    }
