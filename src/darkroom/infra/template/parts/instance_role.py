"""The role of a cluster's instances: the components' nodes and those that Karpenter makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aws_cdk import aws_iam as iam
from constructs import Construct

from darkroom.config.partition import PartitionFacts

# What EKS asks for on every node.
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")


def instance_role(scope: Construct, id_: str, facts: PartitionFacts, policies: Sequence[str] = ()) -> iam.Role:
    """A role with `NODE_POLICIES` and AWS's managed `policies`, which the partition's own EC2 may take.

    The CDK writes every service's name with the suffix of the global partition, whatever it is told. EKS in China does
    not take a role for nodes that trusts this one.
    """
    principal = facts.ec2_principal
    role = iam.Role(
        scope,
        id_,
        assumed_by=iam.ServicePrincipal(principal),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in (*NODE_POLICIES, *policies)],
    )
    resource = cast("iam.CfnRole", role.node.default_child)
    resource.add_property_override("AssumeRolePolicyDocument.Statement.0.Principal.Service", principal)
    return role
