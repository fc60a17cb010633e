"""Where the network is laid: zones that EKS takes, that have GPU nodes, and that stay what they are."""

from __future__ import annotations

import boto3
import httpx
import pytest
from botocore.stub import Stubber

from darkroom.config.gpu_demand import gpu_demands, wanted_types
from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError, StackFailure
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.gpu_nodes import known_types
from darkroom.infra.checks.zones import Zone, check_zones, choose, settled, zones_of_region, zones_of_stack
from darkroom.infra.cloud import Cloud

CONFIG = "modelsRuntime: [{name: a, type: comfyui}]\n"
GPU = ("a",)


def names(zones: tuple[Zone, ...]) -> list[str]:
    return [zone.name for zone in zones]


def test_what_eks_refuses_is_not_chosen_whatever_its_name_is_in_this_account() -> None:
    zones = [
        Zone("us-east-1a", "use1-az3", GPU),
        *(Zone(f"us-east-1{letter}", f"use1-az{letter}", GPU) for letter in "bcd"),
    ]
    assert names(choose(zones)) == ["us-east-1b", "us-east-1c", "us-east-1d"]


def test_two_zones_are_enough() -> None:
    zones = [Zone("us-west-1a", "usw1-az1", GPU), Zone("us-west-1b", "usw1-az2", GPU), Zone("us-west-1c", "usw1-az3")]
    assert names(choose(zones)) == ["us-west-1a", "us-west-1c"]


def test_zones_with_gpu_nodes_for_more_runtimes_go_first_and_those_of_pools_before_all() -> None:
    zones = [
        Zone("eu-central-1a", "euc1-az2"),
        Zone("eu-central-1b", "euc1-az3", ("a",)),
        Zone("eu-central-1c", "euc1-az1", ("a", "b")),
        Zone("eu-central-1d", "euc1-az4", ("b",)),
    ]
    assert names(choose(zones)) == ["eu-central-1b", "eu-central-1c", "eu-central-1d"]
    assert "eu-central-1a" in names(choose(zones, frozenset({"eu-central-1a"})))


@pytest.fixture
def fresh(moto: str) -> str:
    httpx.post(f"{moto}/moto-api/reset").raise_for_status()
    return moto


def cloud(url: str, region: str) -> Cloud:
    return Cloud(boto3.Session(region_name=region), region, url)


def checked(account: Cloud, config: DarkroomConfig) -> list[Finding]:
    demands = gpu_demands(config, account.facts)
    return list(check_zones(account, config, demands, known_types(account, wanted_types(demands))))


@pytest.mark.parametrize(("region", "count"), [("us-east-1", 3), ("us-west-1", 2), ("eu-central-1", 3)])
def test_the_zones_of_a_real_region(fresh: str, region: str, count: int) -> None:
    account = cloud(fresh, region)
    (finding,) = checked(account, parse_config(CONFIG))
    assert finding.verdict in (Verdict.GOOD, Verdict.LIMITED), finding
    chosen = settled(account, parse_config(CONFIG), has_stack=False).network.availability_zones
    refused = {zone.name for zone in zones_of_region(account) if not zone.is_taken_by_eks}
    assert chosen is not None
    assert len(chosen) == count
    assert not refused & set(chosen)


def test_a_stack_that_is_there_keeps_its_zones(fresh: str) -> None:
    account = cloud(fresh, "us-east-1")
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate(["us-east-1f", "us-east-1b", "us-east-1d"]):
        for kind in ("Public", "Private"):
            tags = {
                "aws:cloudformation:stack-name": "sdoneksStack",
                "aws:cloudformation:logical-id": f"NetworkVpc{kind}Subnet{number + 1}Subnet0123ABCD",
            }
            ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=f"10.0.{number * 2 + (kind == 'Private')}.0/24",
                AvailabilityZone=zone,
                TagSpecifications=[
                    {"ResourceType": "subnet", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
                ],
            )
    assert zones_of_stack(account, "sdoneksStack") == ["us-east-1f", "us-east-1b", "us-east-1d"]
    found = settled(account, parse_config(CONFIG), has_stack=True)
    assert found.network.availability_zones == ["us-east-1f", "us-east-1b", "us-east-1d"]
    assert "us-east-1f" in checked(account, parse_config(CONFIG))[0].subject


def test_the_users_zones_are_judged_by_their_ids(fresh: str) -> None:
    account = cloud(fresh, "us-east-1")
    (refused,) = (zone.name for zone in zones_of_region(account) if not zone.is_taken_by_eks)
    (finding,) = checked(account, parse_config(CONFIG + f"network: {{availabilityZones: [us-east-1b, {refused}]}}\n"))
    assert finding.verdict is Verdict.MISSING
    assert f"EKS takes no subnet in {refused} (use1-az3): choose among us-east-1" in finding.remedy


def test_a_pool_that_names_a_zone_beside_the_network_is_told_before_anything_is_made(fresh: str) -> None:
    config = parse_config(
        "modelsRuntime: [{name: a, type: comfyui, nodePool: p}]\n"
        "nodePools: [{name: p, instanceTypes: [g5.xlarge], zones: [us-east-1a, us-east-1b, us-east-1c, us-east-1d]}]\n"
    )
    (finding,) = checked(cloud(fresh, "us-east-1"), config)
    assert finding.verdict is Verdict.MISSING
    assert "pools of nodes name us-east-1" in finding.remedy


def test_a_region_with_one_zone_for_eks_is_told_before_anything_is_made() -> None:
    account = Cloud(boto3.Session(region_name="us-west-1"), "us-west-1")
    with Stubber(account.client("ec2")) as stub:
        zones = [{"ZoneName": f"us-west-1{letter}", "ZoneId": f"usw1-az{number}"} for letter, number in ("a1", "b2")]
        stub.add_response("describe_instance_types", {"InstanceTypes": []})
        stub.add_response("describe_availability_zones", {"AvailabilityZones": zones})
        with pytest.raises(StackFailure, match="EKS wants two, and us-west-1 has us-west-1a for this account"):
            settled(account, parse_config(CONFIG), has_stack=False)


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        ("{availabilityZones: [eu-west-1a, us-west-2b]}", "eu-west-1a is not a zone of the region us-west-2"),
        (
            "{vpcId: vpc-01234567, privateSubnetIds: [subnet-01234567, subnet-01234568], availabilityZones: "
            "[us-west-2a, us-west-2b, us-west-2c]}",
            "has 2, and availabilityZones 3: one in each",
        ),
    ],
)
def test_zones_that_cannot_be_are_told_with_their_line(network: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=f"line 2: network.*{fault}"):
        parse_config(CONFIG + f"network: {network}\n", region="us-west-2")
