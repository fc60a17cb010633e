"""Identities of pods: roles that EKS Pod Identity hands out, in a cluster that is made or in one that is there."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from constructs import Construct


def pod_role(scope: Construct, id_: str, cluster_arn: str) -> iam.Role:
    """A role that EKS Pod Identity hands to pods of this cluster, and to nobody else."""
    return iam.Role(
        scope,
        id_,
        assumed_by=iam.ServicePrincipal(
            "pods.eks.amazonaws.com",
            conditions={
                "StringEquals": {"aws:SourceAccount": Stack.of(scope).account},
                "ArnEquals": {"aws:SourceArn": cluster_arn},
            },
        ).with_session_tags(),
    )


def associate(
    scope: Construct, id_: str, *, cluster_name: str, namespace: str, service_account: str, role: iam.Role
) -> eks.CfnPodIdentityAssociation:
    """Give pods under this service account the role, and its policies for as long as they have it."""
    association = eks.CfnPodIdentityAssociation(
        scope,
        id_,
        cluster_name=cluster_name,
        namespace=namespace,
        service_account=service_account,
        role_arn=role.role_arn,
    )
    # The role alone would be there in time; its policies would be taken away while pods still work.
    association.node.add_dependency(role)
    return association
