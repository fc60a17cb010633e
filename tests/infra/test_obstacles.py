"""What is in the way of removing a deployment, in an account of moto's, which knows what is in a VPC."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from typer.testing import CliRunner

from darkroom.cli.deployment import app
from darkroom.config.loader import parse_config
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.steps.obstacles import foreign_interface
from darkroom.infra.steps.removal import Removal
from darkroom.infra.steps.stack_operations import Timing
from tests.infra.emulated_account import AMI

ASSUMED = {"Version": "2012-10-17", "Statement": []}
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"}]}
)
TEMPLATE = {
    "Resources": {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/19"},
        },
        "Own": {"Type": "AWS::EC2::NetworkInterface", "Properties": {"SubnetId": {"Ref": "Subnet"}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": ASSUMED}},
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyName": "ours", "PolicyDocument": json.loads(POLICY), "Roles": [{"Ref": "Role"}]},
        },
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Other": {"Type": "AWS::SQS::Queue"},
        "Pictures": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
    },
    "Outputs": {"OutputS3Bucket": {"Value": {"Fn::GetAtt": ["Pictures", "Arn"]}}},
}
CLUSTER = [{"Key": "kubernetes.io/cluster/sdoneksStack", "Value": "owned"}]


class Stack:
    """A stack with one of each, in an account of its own."""

    def __init__(self, url: str) -> None:
        self._cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1", url)
        self.ec2, self.iam = self._cloud.client("ec2"), self._cloud.client("iam")
        cloudformation = self._cloud.client("cloudformation")
        cloudformation.create_stack(
            StackName="sdoneksStack", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"]
        )
        resources = cloudformation.list_stack_resources(StackName="sdoneksStack")["StackResourceSummaries"]
        self.ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    @property
    def removal(self) -> Removal:
        config = parse_config("modelsRuntime: [{name: sdruntime, type: comfyui}]")
        timing = Timing(time.monotonic, time.sleep, poll_seconds=0.05, limit_seconds=60)
        return Removal(self._cloud, config, lambda line: None, timing)

    def obstacles(self) -> dict[str, str]:
        return {obstacle.what: obstacle.remedy for obstacle in self.removal.obstacles()}

    def interface(self, description: str = "", tags: list[dict[str, str]] | None = None) -> str:
        asked: dict[str, Any] = {"SubnetId": self.ids["Subnet"], "Description": description}
        if tags:
            asked["TagSpecifications"] = [{"ResourceType": "network-interface", "Tags": tags}]
        name: str = self.ec2.create_network_interface(**asked)["NetworkInterface"]["NetworkInterfaceId"]
        return name

    def instance(self, tags: list[dict[str, str]] | None = None) -> str:
        asked: dict[str, Any] = {"ImageId": AMI, "MinCount": 1, "MaxCount": 1, "SubnetId": self.ids["Subnet"]}
        if tags:
            asked["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags}]
        name: str = self.ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        return name


@pytest.fixture
def stack(moto: str) -> Stack:
    httpx.post(f"{moto}/moto-api/reset").raise_for_status()
    return Stack(moto)


def test_nothing_of_the_stack_or_its_cluster_is_in_the_way(stack: Stack) -> None:
    stack.interface("Amazon EKS sdoneksStack")
    stack.interface("aws-K8S-i-0123456789abcdef0")
    stack.interface(tags=[{"Key": "cluster.k8s.amazonaws.com/name", "Value": "sdoneksStack"}])
    stack.instance(CLUSTER)
    ended = stack.instance()
    stack.ec2.terminate_instances(InstanceIds=[ended])
    elsewhere = stack.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    other = stack.ec2.create_subnet(VpcId=elsewhere, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
    stack.ec2.create_network_interface(SubnetId=other)
    assert stack.obstacles() == {}


def test_what_somebody_put_into_the_vpc_is_named_with_what_to_do(stack: Stack) -> None:
    loose = stack.interface("of a bastion")
    stack.interface("ELB app/mine/0123456789abcdef")
    instance = stack.instance()
    endpoint = stack.ec2.create_vpc_endpoint(VpcId=stack.ids["Vpc"], ServiceName="com.amazonaws.us-east-1.s3")
    name = endpoint["VpcEndpoint"]["VpcEndpointId"]
    found = stack.obstacles()
    assert found == {
        f"the instance {instance} in the stack's VPC": "terminate it: aws ec2 terminate-instances "
        f"--instance-ids {instance}",
        f"the VPC endpoint {name} in the stack's VPC": f"delete it: aws ec2 delete-vpc-endpoints "
        f"--vpc-endpoint-ids {name}",
        f"the network interface {loose} (of a bastion) in the stack's VPC": "delete it: aws ec2 "
        f"delete-network-interface --network-interface-id {loose}",
        "the load balancer app/mine/0123456789abcdef in the stack's VPC": "delete it, in the EC2 console or with "
        "kubectl",
    }
    with pytest.raises(StackFailure, match=rf"(?s)nothing was removed.*{loose}.*or give --force"):
        stack.removal.run()
    assert "Vpc" in stack.ids
    stack.ec2.describe_vpcs(VpcIds=[stack.ids["Vpc"]])


def test_policies_that_somebody_gave_to_a_role_are_named_attached_or_inline(stack: Stack) -> None:
    role = stack.ids["Role"]
    stack.iam.put_role_policy(RoleName=role, PolicyName="theirs", PolicyDocument=POLICY)
    arn = stack.iam.create_policy(PolicyName="foreign", PolicyDocument=POLICY)["Policy"]["Arn"]
    stack.iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    found = stack.obstacles()
    assert found == {
        f"the policy foreign on the role {role}": f"detach it: aws iam detach-role-policy --role-name {role} "
        f"--policy-arn {arn}",
        f"the inline policy theirs on the role {role}": f"delete it: aws iam delete-role-policy --role-name {role} "
        "--policy-name theirs",
    }


@pytest.mark.parametrize(
    ("described", "is_foreign"),
    [
        ({}, True),
        ({"Description": "of a bastion", "Attachment": {"InstanceOwnerId": "123456789012"}}, True),
        ({"Description": "ELB app/mine/0123", "RequesterManaged": True}, True),
        ({"NetworkInterfaceId": "eni-ours"}, False),
        ({"Attachment": {"InstanceId": "i-1"}}, False),
        ({"InterfaceType": "nat_gateway", "RequesterManaged": True}, False),
        ({"InterfaceType": "lambda", "Description": "AWS Lambda VPC ENI-sdoneksStack-KubectlProvider"}, False),
        ({"InterfaceType": "vpc_endpoint", "RequesterManaged": True}, False),
        ({"Description": "Amazon EKS sdoneksStack"}, False),
        ({"Description": "aws-K8S-i-0123"}, False),
        ({"TagSet": [{"Key": "kubernetes.io/cluster/sdoneksStack", "Value": "owned"}]}, False),
        ({"RequesterManaged": True, "Description": "somebody's service"}, False),
    ],
)
def test_who_an_interface_belongs_to(described: dict[str, Any], is_foreign: bool) -> None:
    """moto has no interfaces of NAT gateways and functions."""
    assert (foreign_interface({"NetworkInterfaceId": "eni-1", **described}, ["eni-ours"]) is not None) == is_foreign


def test_a_dry_run_says_what_would_go_and_what_would_stay(stack: Stack) -> None:
    planned = stack.removal.plan()
    assert planned.removed == [
        "EC2: NetworkInterface, Subnet, VPC",
        "IAM: Policy, Role",
        "SQS: 2 x Queue",
        "what Karpenter and EKS made for the cluster: instances, launch templates, volumes",
    ]
    assert planned.kept == [f"s3://{stack.ids['Pictures']}"]
    assert stack.obstacles() == {}


def test_the_command_says_it_and_ends_with_1_where_something_is_in_the_way(
    stack: Stack, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("modelsRuntime: [{name: sdruntime, type: comfyui}]")
    command = ["destroy", "--dry-run", "--region", "us-east-1", "--endpoint-url", moto]
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert said.exit_code == 0
    assert "Of the stack sdoneksStack in us-east-1 this would be removed, for good:\n  EC2: " in said.output
    assert f"s3://{stack.ids['Pictures']} stays" in said.output
    stack.instance()
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert said.exit_code == 1
    assert "In the way:\n  " in said.output
    assert "  SQS: 2 x Queue" in said.output
    assert stack.removal.obstacles(), "nothing was removed"
    stack.removal.run(force=True)
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (said.exit_code, said.output.partition(";")[0]) == (0, "There is no stack sdoneksStack in us-east-1")
