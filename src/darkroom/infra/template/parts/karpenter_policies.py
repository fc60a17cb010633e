"""What Karpenter's controller may do: its six documented policies, bound to the cluster's tags where EC2 lets it."""

from __future__ import annotations

from typing import Any


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
