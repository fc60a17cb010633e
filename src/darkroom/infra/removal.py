"""`darkroom destroy`: the guide's preparations are checked first, and what people made stays."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from darkroom.config.model import DarkroomConfig
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.stack_operations import StackOperations, Timing

_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@dataclass(frozen=True)
class Obstacle:
    """Something that would be lost with the stack, or would keep it from going."""

    what: str
    remedy: str


class Removal:
    """Looks for obstacles, and removes the stack where there are none."""

    def __init__(self, cloud: Cloud, config: DarkroomConfig, told: Told, timing: Timing | None = None) -> None:
        self._cloud = cloud
        self._config = config
        self._told = told
        timing = timing or Timing(cloud.clock, cloud.sleep)
        self._operations = StackOperations(
            cloud.client("cloudformation"), config.cloudformation_stack_name, timing, told
        )

    def obstacles(self) -> list[Obstacle]:
        """Queues with tasks, foreign policies on roles, and foreign things in the VPC. Changes nothing."""
        if self._operations.status() is None:
            return []
        with translated("looking at what is in the stack"):
            resources = self._resources()
            found = [*self._queues(resources.get("AWS::SQS::Queue", []))]
            for role in resources.get("AWS::IAM::Role", []):
                found += self._foreign_policies(role, set(resources.get("AWS::IAM::ManagedPolicy", [])))
            for vpc in resources.get("AWS::EC2::VPC", []):
                found += self._foreign_instances(vpc)
        return found

    def run(self, *, force: bool = False) -> list[str]:
        """Remove the stack, and say what stays. Raises `StackFailure` where something is in the way."""
        in_the_way = self.obstacles()
        if in_the_way and not force:
            listed = "\n".join(f"  {obstacle.what}: {obstacle.remedy}" for obstacle in in_the_way)
            raise StackFailure(f"nothing was removed:\n{listed}\nor give --force")
        kept = [f"s3://{self._config.model_bucket}"] if self._config.model_bucket else []
        if self._operations.status() is not None:
            output_bucket = self._operations.outputs().get("OutputS3Bucket", "").rpartition(":")[2]
            kept += [f"s3://{output_bucket}"] if output_bucket else []
            with translated("removing the stack"):
                self._delete()
        return kept

    def _delete(self) -> None:
        """Remove the stack, and the GPU nodes that Karpenter had no time to end before it went itself."""
        try:
            self._operations.delete()
        except StackFailure:
            if not self._end_nodes():
                raise
            self._told("nodes that outlived Karpenter kept the stack from going: trying again without them")
            self._operations.delete()
        self._end_nodes()

    def _end_nodes(self) -> list[str]:
        """Terminate the instances that Karpenter made for this cluster, and wait until they are gone."""
        ec2 = self._cloud.client("ec2")
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:kubernetes.io/cluster/{self._config.cloudformation_stack_name}", "Values": ["owned"]},
                {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
            ]
        )
        nodes = [
            instance["InstanceId"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]
        if nodes:
            ec2.terminate_instances(InstanceIds=nodes)
            self._told(f"terminating {len(nodes)} nodes: {', '.join(nodes)}")
            ec2.get_waiter("instance_terminated").wait(InstanceIds=nodes)
        return nodes

    def _resources(self) -> dict[str, list[str]]:
        """The stack's resources by type, as their physical ids."""
        by_type: dict[str, list[str]] = {}
        pages = self._cloud.client("cloudformation").get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=self._config.cloudformation_stack_name):
            for resource in page["StackResourceSummaries"]:
                if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource.get("PhysicalResourceId"):
                    by_type.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
        return by_type

    def _queues(self, urls: list[str]) -> list[Obstacle]:
        found = []
        for url in urls:
            try:
                counts = self._cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))
            except ClientError as error:
                if "NonExistentQueue" in str(error):
                    continue
                raise
            number = sum(int(counts["Attributes"].get(name, 0)) for name in _COUNTS)
            if number:
                remedy = "let its tasks be done, or empty it: aws sqs purge-queue"
                found.append(Obstacle(f"{number} messages in {url.rpartition('/')[2]}", remedy))
        return found

    def _foreign_policies(self, role: str, ours: set[str]) -> list[Obstacle]:
        try:
            attached = self._cloud.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        except ClientError as error:
            if "NoSuchEntity" in str(error):
                return []
            raise
        foreign = [
            policy["PolicyName"]
            for policy in attached
            if policy["PolicyArn"] not in ours and ":aws:policy/" not in policy["PolicyArn"]
        ]
        remedy = f"detach it: aws iam detach-role-policy --role-name {role}"
        return [Obstacle(f"the policy {name} on the role {role}", remedy) for name in foreign]

    def _foreign_instances(self, vpc: str) -> list[Obstacle]:
        """Network interfaces that neither the stack nor its cluster made would keep the VPC from going."""
        pages = self._cloud.client("ec2").get_paginator("describe_instances")
        foreign = []
        for page in pages.paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}]):
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    tags = {tag["Key"] for tag in instance.get("Tags", [])}
                    ended = instance["State"]["Name"] in ("terminated", "shutting-down")
                    if not ended and not any(tag.startswith("kubernetes.io/cluster/") for tag in tags):
                        foreign.append(instance["InstanceId"])
        return [Obstacle(f"the instance {name} in the stack's VPC", "terminate it") for name in foreign]
