"""The guide's preparations for removing a deployment: what would be lost with it, and what would keep it from going.

Each look takes the stack's resources and gives the obstacles; none changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from darkroom.infra.cloud import Cloud

# The stack's resources by type, as their physical ids.
Resources = dict[str, list[str]]
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
# Interfaces that come and go with the cluster: of its control plane, and of pods' networks.
_OF_CLUSTERS = ("Amazon EKS ", "aws-K8S-")
_CLUSTER_TAGS = ("kubernetes.io/cluster/", "cluster.k8s.amazonaws.com/", "eks:", "karpenter.sh/")


@dataclass(frozen=True)
class Obstacle:
    """Something that would be lost with the stack, or would keep it from going, and what to do about it."""

    what: str
    remedy: str


def queues_with_tasks(cloud: Cloud, resources: Resources) -> Iterator[Obstacle]:
    """Queues whose messages would be lost."""
    for url in resources.get("AWS::SQS::Queue", []):
        try:
            counts = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))
        except ClientError as error:
            if "NonExistentQueue" in str(error):
                continue
            raise
        number = sum(int(counts["Attributes"].get(name, 0)) for name in _COUNTS)
        if number:
            remedy = f"let its tasks be done, or empty it: aws sqs purge-queue --queue-url {url}"
            yield Obstacle(f"{number} messages in {url.rpartition('/')[2]}", remedy)


def inline_policies_of(template: Any) -> frozenset[str]:
    """The names of the inline policies in a template. Their physical ids are not their names."""
    found = []
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Policy":
            found.append(properties.get("PolicyName"))
        elif resource["Type"] == "AWS::IAM::Role":
            found += [policy.get("PolicyName") for policy in properties.get("Policies", [])]
    return frozenset(name for name in found if isinstance(name, str))


def foreign_policies(cloud: Cloud, resources: Resources, inline: frozenset[str]) -> Iterator[Obstacle]:
    """Policies, attached or inline, that somebody gave to a role of the stack: IAM keeps a role that has some.

    `inline`: the names of the stack's own inline policies.
    """
    iam = cloud.client("iam")
    managed = set(resources.get("AWS::IAM::ManagedPolicy", []))
    for role in resources.get("AWS::IAM::Role", []):
        try:
            attached = list(_pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=role))
            named = list(_pages(iam, "list_role_policies", "PolicyNames", RoleName=role))
        except ClientError as error:
            if "NoSuchEntity" in str(error):
                continue
            raise
        for policy in attached:
            if policy["PolicyArn"] not in managed and ":aws:policy/" not in policy["PolicyArn"]:
                remedy = f"aws iam detach-role-policy --role-name {role} --policy-arn {policy['PolicyArn']}"
                yield Obstacle(f"the policy {policy['PolicyName']} on the role {role}", f"detach it: {remedy}")
        for name in named:
            if name not in inline:
                remedy = f"aws iam delete-role-policy --role-name {role} --policy-name {name}"
                yield Obstacle(f"the inline policy {name} on the role {role}", f"delete it: {remedy}")


def foreign_in_vpc(cloud: Cloud, resources: Resources) -> Iterator[Obstacle]:
    """What somebody put into the stack's VPC: EC2 keeps a VPC that something is in."""
    ec2 = cloud.client("ec2")
    for vpc in resources.get("AWS::EC2::VPC", []):
        inside = [{"Name": "vpc-id", "Values": [vpc]}]
        for reservation in _pages(ec2, "describe_instances", "Reservations", Filters=inside):
            for instance in reservation["Instances"]:
                name, state = instance["InstanceId"], instance["State"]["Name"]
                if state not in ("terminated", "shutting-down") and not _is_of_cluster(instance.get("Tags", [])):
                    remedy = f"terminate it: aws ec2 terminate-instances --instance-ids {name}"
                    yield Obstacle(f"the instance {name} in the stack's VPC", remedy)
        for endpoint in _pages(ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=inside):
            name = endpoint["VpcEndpointId"]
            if name not in resources.get("AWS::EC2::VPCEndpoint", []) and endpoint["State"].lower() != "deleted":
                remedy = f"delete it: aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {name}"
                yield Obstacle(f"the VPC endpoint {name} in the stack's VPC", remedy)
        for interface in _pages(ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=inside):
            obstacle = foreign_interface(interface, resources.get("AWS::EC2::NetworkInterface", []))
            if obstacle is not None:
                yield obstacle


def foreign_interface(interface: dict[str, Any], ours: list[str]) -> Obstacle | None:
    """The obstacle that an interface is, as EC2 describes it; None where it is ours, or goes with what it belongs to.

    `ours`: the ids of the stack's own. An instance's interface goes with the instance, one that a service asked for (a
    NAT gateway, a function, an endpoint, the control plane) with what the service made.
    """
    name, description = interface["NetworkInterfaceId"], interface.get("Description", "")
    if description.startswith("ELB "):
        balancer = description.removeprefix("ELB ")
        return Obstacle(
            f"the load balancer {balancer} in the stack's VPC", "delete it, in the EC2 console or with kubectl"
        )
    is_attached = "InstanceId" in interface.get("Attachment", {})
    is_anothers = interface.get("RequesterManaged", False) or interface.get("InterfaceType", "interface") != "interface"
    is_of_cluster = description.startswith(_OF_CLUSTERS) or _is_of_cluster(interface.get("TagSet", []))
    if name in ours or is_attached or is_anothers or is_of_cluster:
        return None
    remedy = f"delete it: aws ec2 delete-network-interface --network-interface-id {name}"
    described = f" ({description})" if description else ""
    return Obstacle(f"the network interface {name}{described} in the stack's VPC", remedy)


def _is_of_cluster(tags: list[dict[str, str]]) -> bool:
    return any(tag["Key"].startswith(_CLUSTER_TAGS) for tag in tags)


def _pages(client: Any, operation: str, key: str, **asked: Any) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate(**asked):
        yield from page[key]
