"""What outlives Karpenter is removed, in an account of moto's: all of it, nothing of others, as often as one likes."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import httpx
import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.cloud import Cloud
from darkroom.infra.steps.removal import Removal
from darkroom.infra.steps.stack_operations import Timing
from tests.infra.calls import Calls, denied
from tests.infra.emulated_account import AMI

NODE = [
    {"Key": "kubernetes.io/cluster/sdoneksStack", "Value": "owned"},
    {"Key": "karpenter.sh/nodepool", "Value": "sdruntime-gpu"},
]
OF_ANOTHER = [{**NODE[0], "Key": "kubernetes.io/cluster/another"}, NODE[1]]
POD = [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "sdoneksStack"}]
POD_OF_ANOTHER = [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "another"}]


class Account:
    """An account in which Karpenter left one of each, and others have one of each too."""

    def __init__(self, url: str) -> None:
        session = boto3.Session(region_name="us-east-1")
        self.calls = Calls(session)
        self.cloud = Cloud(session, "us-east-1", url)
        self.ec2, self.iam = self.cloud.client("ec2"), self.cloud.client("iam")
        vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self._subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
        assumed = json.dumps({"Version": "2012-10-17", "Statement": []})
        self.iam.create_role(RoleName="node", AssumeRolePolicyDocument=assumed)
        self.ours = self._one_of_each("sdoneksStack", NODE, POD)
        self.theirs = self._one_of_each("another", OF_ANOTHER, POD_OF_ANOTHER)

    def _one_of_each(self, cluster: str, tags: list[dict[str, str]], pod: list[dict[str, str]]) -> dict[str, str]:
        def tagged(kind: str, tags: list[dict[str, str]]) -> dict[str, Any]:
            return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]}

        profile = f"{cluster}_1"
        self.iam.create_instance_profile(InstanceProfileName=profile, Path=f"/karpenter/us-east-1/{cluster}/uid/")
        self.iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName="node")
        run = self.ec2.run_instances(
            ImageId=AMI, MinCount=1, MaxCount=1, SubnetId=self._subnet, **tagged("instance", tags)
        )
        template = self.ec2.create_launch_template(
            LaunchTemplateName=cluster, LaunchTemplateData={}, **tagged("launch-template", tags)
        )
        volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, **tagged("volume", tags))
        interface = self.ec2.create_network_interface(SubnetId=self._subnet, **tagged("network-interface", pod))
        return {
            "profile": profile,
            "instance": run["Instances"][0]["InstanceId"],
            "template": template["LaunchTemplate"]["LaunchTemplateId"],
            "volume": volume["VolumeId"],
            "interface": interface["NetworkInterface"]["NetworkInterfaceId"],
        }

    def left(self) -> set[str]:
        """All that is there, by its id or name."""
        pages = self.ec2.describe_instances()["Reservations"]
        instances = [found for page in pages for found in page["Instances"]]
        return {
            *(found["InstanceId"] for found in instances if found["State"]["Name"] != "terminated"),
            *(found["InstanceProfileName"] for found in self.iam.list_instance_profiles()["InstanceProfiles"]),
            *(found["LaunchTemplateId"] for found in self.ec2.describe_launch_templates()["LaunchTemplates"]),
            *(found["VolumeId"] for found in self.ec2.describe_volumes()["Volumes"]),
            *(found["NetworkInterfaceId"] for found in self.ec2.describe_network_interfaces()["NetworkInterfaces"]),
        }

    def remove(self) -> None:
        config = parse_config("modelsRuntime: [{name: sdruntime, type: comfyui}]")
        timing = Timing(time.monotonic, time.sleep, poll_seconds=0.05, limit_seconds=60)
        Removal(self.cloud, config, lambda line: None, timing).run()


@pytest.fixture
def account(moto: str) -> Account:
    httpx.post(f"{moto}/moto-api/reset").raise_for_status()
    return Account(moto)


def test_all_that_karpenter_left_goes_and_nothing_of_another_cluster(account: Account) -> None:
    """The stack itself is gone: an earlier run removed it, or somebody did in the console."""
    assert set(account.ours.values()) | set(account.theirs.values()) <= account.left()
    account.remove()
    left = account.left()
    assert not set(account.ours.values()) & left
    assert set(account.theirs.values()) <= left
    account.remove()
    assert account.left() == left


def test_whichever_call_fails_the_next_run_removes_the_rest(moto: str, account: Account) -> None:
    account.calls.clear()
    account.remove()
    calls = list(account.calls.made)
    assert len(calls) > 12
    for number, call in enumerate(calls):
        if call == "cloudformation.DescribeStackEvents":  # they are for show
            continue
        httpx.post(f"{moto}/moto-api/reset").raise_for_status()
        again = Account(moto)
        again.calls.clear()
        again.calls.fail_at(number, denied)
        with pytest.raises(Exception, match="not today"):
            again.remove()
        again.remove()
        assert not set(again.ours.values()) & again.left(), call
