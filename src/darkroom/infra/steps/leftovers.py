"""What Karpenter, the network add-on and EKS made for a cluster, and did not take away again.

CloudFormation knows nothing of it: an instance costs money for ever, an instance profile keeps the nodes' role, and an
interface keeps the VPC. All of it carries the cluster's name, in a tag or in its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from darkroom.infra.cloud import Cloud, Told

_ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


class Leftovers:
    """Removes them. Each look and each removal may be repeated; what went in between is no fault."""

    def __init__(self, cloud: Cloud, cluster: str, told: Told) -> None:
        self._cloud = cloud
        self._told = told
        self._cluster = cluster
        of_karpenter = {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]}
        self._of_karpenter = [{"Name": f"tag:kubernetes.io/cluster/{cluster}", "Values": ["owned"]}, of_karpenter]

    def remove(self, *, is_cluster_gone: bool) -> int:
        """Remove what is there, and say how many things that were. Raises botocore's errors.

        Instances go first, for the rest hangs on them. A cluster that is still there keeps its security group.
        """
        count = len(self._end_instances())
        ec2, iam = self._cloud.client("ec2"), self._cloud.client("iam")
        for profile in self._profiles():
            name = profile["InstanceProfileName"]
            for role in profile["Roles"]:
                roles = {"InstanceProfileName": name, "RoleName": role["RoleName"]}
                self._without(f"the role of {name}", iam.remove_role_from_instance_profile, **roles)
            count += self._without(f"instance profile {name}", iam.delete_instance_profile, InstanceProfileName=name)
        for template in self._pages("describe_launch_templates", "LaunchTemplates", self._of_karpenter):
            name = template["LaunchTemplateId"]
            count += self._without(f"launch template {name}", ec2.delete_launch_template, LaunchTemplateId=name)
        free = {"Name": "status", "Values": ["available"]}
        for volume in self._pages("describe_volumes", "Volumes", [*self._of_karpenter, free]):
            name = volume["VolumeId"]
            count += self._without(f"volume {name}", ec2.delete_volume, VolumeId=name)
        of_pods = [{"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": [self._cluster]}, free]
        for interface in self._pages("describe_network_interfaces", "NetworkInterfaces", of_pods):
            name = interface["NetworkInterfaceId"]
            count += self._without(f"interface {name}", ec2.delete_network_interface, NetworkInterfaceId=name)
        if is_cluster_gone:
            of_eks = [{"Name": "tag:aws:eks:cluster-name", "Values": [self._cluster]}]
            for group in self._pages("describe_security_groups", "SecurityGroups", of_eks):
                name = group["GroupId"]
                count += self._without(f"security group {name}", ec2.delete_security_group, GroupId=name)
        return count

    def _end_instances(self) -> list[str]:
        """Terminate the instances that Karpenter made for this cluster, and wait until they are gone."""
        ec2 = self._cloud.client("ec2")
        alive = [*self._of_karpenter, {"Name": "instance-state-name", "Values": _ALIVE}]
        nodes = [
            instance["InstanceId"]
            for reservation in self._pages("describe_instances", "Reservations", alive)
            for instance in reservation["Instances"]
        ]
        if nodes:
            ec2.terminate_instances(InstanceIds=nodes)
            self._told(f"terminating {len(nodes)} nodes: {', '.join(nodes)}")
            ec2.get_waiter("instance_terminated").wait(InstanceIds=nodes)
        return nodes

    def _profiles(self) -> Iterator[dict[str, Any]]:
        path = f"/karpenter/{self._cloud.region}/{self._cluster}/"
        pages = self._cloud.client("iam").get_paginator("list_instance_profiles").paginate(PathPrefix=path)
        # Looked at again: an answer that was not filtered must not cost another cluster its nodes.
        yield from (found for page in pages for found in page["InstanceProfiles"] if found["Path"].startswith(path))

    def _pages(self, operation: str, key: str, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        pages = self._cloud.client("ec2").get_paginator(operation).paginate(Filters=filters)
        return [entry for page in pages for entry in page[key]]

    def _without(self, what: str, remove: Callable[..., Any], **named: str) -> bool:
        """Remove it. What is gone already, by our wish or another's, is well."""
        try:
            remove(**named)
        except ClientError as error:
            if "NotFound" not in (code := error.response["Error"]["Code"]) and code != "NoSuchEntity":
                raise
            return False
        self._told(f"{what}: was left over, removed")
        return True
