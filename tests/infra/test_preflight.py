"""Quotas and instance types, which no emulator knows, over botocore's own checks of parameters and answers."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from darkroom.config.loader import parse_config
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.preflight import check
from darkroom.infra.checks.quotas import MESSAGES_PER_TASK, counted_quotas
from darkroom.infra.checks.signing_check import SUBJECT as SIGNATURES
from darkroom.infra.cloud import Cloud

CONFIG = """\
modelsRuntime:
- name: sdruntime
  type: comfyui
  extraValues:
    runtime: {scaling: {maxReplicaCount: 10}}
    karpenter: {provisioner: {instanceType: [g5.xlarge, g5.2xlarge], capacityType: {onDemand: true, spot: %s}}}
mirrors: {imageRegistry: example.com}
network: {natGateways: 3}
alarms: {email: somebody@example.com}
cluster: {administrators: ["arn:aws:iam::123456789012:role/admin"], publicAccessCidrs: [192.0.2.0/24]}
"""
OWN = [{"Key": "aws:cloudformation:stack-name", "Value": "sdoneksStack"}]


def instance_type(name: str, vcpus: int, maker: str = "NVIDIA", architecture: str = "x86_64") -> dict[str, Any]:
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": vcpus},
        "GpuInfo": {"Gpus": [{"Manufacturer": maker, "Count": 1}]},
        "ProcessorInfo": {"SupportedArchitectures": [architecture]},
    }


TYPES = (instance_type("g5.xlarge", 4), instance_type("g5.2xlarge", 8))


class Account:
    """An account whose answers are given in advance."""

    def __init__(self) -> None:
        self.cloud = Cloud(boto3.Session(region_name="us-west-2"), "us-west-2")
        self.stubs = {name: Stubber(self.cloud.client(name)) for name in ("sts", "ec2", "eks", "service-quotas")}
        # The quota of buckets is kept in one region for all.
        self.stubs["buckets"] = Stubber(self.cloud.client("service-quotas", "us-east-1"))
        for stub in self.stubs.values():
            stub.activate()
        offered = [{"addonVersion": "v1.0.0", "compatibilities": [{"defaultVersion": True}]}]
        self.stubs["eks"].add_response("describe_addon_versions", {"addons": [{"addonVersions": offered}]})
        self.stubs["eks"].add_response("describe_addon_configuration", {"configurationSchema": "{}"})
        self.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})

    def knows_types(self, *types: dict[str, Any]) -> None:
        wanted = {"Filters": [{"Name": "instance-type", "Values": ["g5.2xlarge", "g5.xlarge"]}]}
        self.stubs["ec2"].add_response("describe_instance_types", {"InstanceTypes": list(types)}, wanted)

    def allows(self, *values: float | None) -> None:
        """Messages, VPCs, NAT gateways, addresses, and the kinds of GPU nodes; None where the default is in force."""
        self.stubs["buckets"].add_response("get_service_quota", {"Quota": {"Value": 10_000}})
        stub = self.stubs["service-quotas"]
        for value in values:
            if value is None:
                stub.add_client_error("get_service_quota", "NoSuchResourceException")
                stub.add_response("get_aws_default_service_quota", {"Quota": {"Value": 5}})
            else:
                stub.add_response("get_service_quota", {"Quota": {"Value": value}})

    def has(
        self, vpcs: int = 0, gateways: int = 0, addresses: int = 0, vcpus: int = 0, nodes_are_counted: bool = True
    ) -> None:
        """What others have, beside a VPC, a NAT gateway, an address and a node of the stack's own."""
        ec2 = self.stubs["ec2"]
        ec2.add_response("describe_vpcs", {"Vpcs": [{"Tags": OWN}] + [{}] * vpcs})
        found = [{"SubnetId": "subnet-0", "Tags": OWN}] + [{"SubnetId": "subnet-1"}] * gateways
        ec2.add_response("describe_nat_gateways", {"NatGateways": found}, {"Filter": ANY})
        if gateways:
            subnets = [{"SubnetId": "subnet-1", "AvailabilityZone": "us-west-2a"}]
            ec2.add_response("describe_subnets", {"Subnets": subnets}, {"SubnetIds": ["subnet-1"]})
        ec2.add_response("describe_addresses", {"Addresses": [{"Tags": OWN}] + [{}] * addresses})
        if not nodes_are_counted:
            return
        options = {"CoreCount": vcpus // 2, "ThreadsPerCore": 2}
        own = {"CpuOptions": options, "Tags": [{"Key": "stack", "Value": "sdoneksStack"}]}
        instances = [own, {"CpuOptions": options}] if vcpus else [own]
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": instances}]}, {"Filters": ANY})

    def offers(self, *offered: tuple[str, str]) -> None:
        entries = [{"InstanceType": name, "Location": zone} for name, zone in offered]
        self.stubs["ec2"].add_response("describe_instance_type_offerings", {"InstanceTypeOfferings": entries})

    def offers_all(self) -> None:
        self.offers(("g5.xlarge", "us-west-2a"), ("g5.2xlarge", "us-west-2b"))

    def _has_zones(self) -> None:
        """The region's zones, and no subnet of the stack's."""
        ec2 = self.stubs["ec2"]
        zones = [{"ZoneName": f"us-west-2{letter}", "ZoneId": f"usw2-az{letter}"} for letter in "ab"]
        ec2.add_response("describe_availability_zones", {"AvailabilityZones": zones})
        ec2.add_response("describe_subnets", {"Subnets": []})

    def findings(self, spot: str = "true") -> dict[str, Finding]:
        self._has_zones()
        found = check(self.cloud, parse_config(CONFIG % spot))
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()
        return {finding.subject.partition(":")[0]: finding for finding in found}


def test_an_account_with_enough_of_everything() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has(vpcs=4, gateways=4, addresses=2)
    account.allows(9000, 5, 5, 5, 64, 64)
    account.offers_all()
    findings = account.findings()
    # Nobody has given it a certificate yet.
    assert findings.pop(SIGNATURES).verdict is Verdict.LIMITED
    assert {finding.verdict for finding in findings.values()} <= {Verdict.GOOD, Verdict.UNKNOWN}


def test_a_new_account_that_may_start_no_gpu() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has()
    account.allows(9000, 5, 5, 2, 0, 0)
    account.offers()
    findings = account.findings()
    on_demand = findings["quota Running On-Demand G and VT instances"]
    assert on_demand.verdict is Verdict.MISSING
    assert on_demand.remedy == "0 allowed, 4 needed: ask for more in Service Quotas (ec2/L-DB2E81BA)"
    assert findings["quota EC2-VPC Elastic IPs"].remedy.startswith("2 allowed, 3 needed")
    types = findings["instance types of sdruntime"]
    assert types.verdict is Verdict.MISSING
    assert "none of g5.xlarge, g5.2xlarge is offered in us-west-2" in types.remedy


def test_what_others_use_is_not_free() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has(vpcs=5, gateways=5, addresses=3)
    account.allows(9000, 5, 5, 5, 64, 64)
    account.offers_all()
    missing = {name: finding.remedy for name, finding in account.findings().items() if finding.verdict == "missing"}
    assert missing == {
        "quota VPCs per Region": "5 allowed, 5 in use, 1 needed: ask for more in Service Quotas (vpc/L-F678F1CE)",
        "quota NAT gateways per Availability Zone": "5 allowed, 5 in use, 1 needed: ask for more in "
        "Service Quotas (vpc/L-FE5A380F)",
        "quota EC2-VPC Elastic IPs": "5 allowed, 3 in use, 3 needed: ask for more in Service Quotas (ec2/L-0263D0A3)",
    }


def test_an_account_that_never_asked_for_more_has_the_default() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has()
    account.allows(9000, None, None, None, 64, 64)
    account.offers_all()
    assert account.findings()["quota VPCs per Region"] == Finding(Verdict.GOOD, "quota VPCs per Region: 5")


def test_less_than_full_scale_is_said_and_stops_nothing() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has(vcpus=8)
    account.allows(9000, 5, 5, 5, 16, 8)
    account.offers_all()
    findings = account.findings()
    assert Verdict.MISSING not in {finding.verdict for finding in findings.values()}
    assert findings["GPU quotas at full scale"] == Finding(
        Verdict.LIMITED,
        "GPU quotas at full scale",
        "only 4 of 10 pods could run (maxReplicaCount, all runtimes together): that many need 40 vCPUs, 16 are free "
        "(ec2/L-DB2E81BA, ec2/L-3819A6DF)",
    )


def test_a_type_that_does_not_exist_is_named() -> None:
    account = Account()
    account.knows_types(TYPES[0])
    account.has()
    account.allows(9000, 5, 5, 5, 64, 64)
    account.offers(("g5.xlarge", "us-west-2a"), ("g5.xlarge", "us-west-2b"))
    types = account.findings()["instance types of sdruntime"]
    assert types == Finding(Verdict.LIMITED, types.subject, "g5.2xlarge does not exist in us-west-2")


def test_no_type_that_exists_is_missing_and_no_fault_of_its_own() -> None:
    account = Account()
    account.knows_types()
    account.has(nodes_are_counted=False)
    account.allows(9000, 5, 5, 5)
    assert account.findings()["instance types of sdruntime"].verdict is Verdict.MISSING


def test_only_what_is_used_has_to_be_allowed() -> None:
    account = Account()
    account.knows_types(*TYPES)
    account.has()
    account.allows(9000, 5, 5, 5, 64)
    account.offers_all()
    findings = account.findings(spot="false")
    assert "quota All G and VT Spot Instance Requests" not in findings
    assert findings["quota Running On-Demand G and VT instances"].verdict is Verdict.GOOD


def test_who_may_not_read_quotas_may_still_deploy() -> None:
    account = Account()
    account.stubs["ec2"].add_client_error("describe_instance_types", "UnauthorizedOperation")
    account.stubs["buckets"].add_client_error("get_service_quota", "AccessDeniedException")
    for _ in range(4):
        account.stubs["service-quotas"].add_client_error("get_service_quota", "AccessDeniedException")
    findings = account.findings()
    assert findings["instance types"].verdict is Verdict.UNKNOWN
    quotas = [finding.verdict for name, finding in findings.items() if name.startswith("quota ")]
    assert quotas == [Verdict.UNKNOWN] * 5


@pytest.mark.parametrize(
    ("callers", "rate"), [("", 30), ("callers: [{name: shop, rateLimit: 100}, {name: lab}]\n", 130)]
)
def test_the_topics_must_bear_what_all_callers_may_send_together(callers: str, rate: int) -> None:
    config = parse_config(CONFIG % "true" + callers)
    wanted = {quota.name: quota.needed for quota, _ in counted_quotas(Account().cloud, config)}
    assert wanted["Messages Published per Second"] == rate * MESSAGES_PER_TASK


@pytest.mark.parametrize(("version", "said"), [("1.35", []), ("1.36", ["KEDA 2.20 is not tested with it"])])
def test_a_version_that_a_part_was_not_tested_with_is_told(version: str, said: list[str]) -> None:
    config = parse_config(CONFIG % "true" + f"kubernetesVersion: '{version}'\n")
    found = [finding for finding in check(None, config) if finding.subject == f"Kubernetes {version}'s parts"]
    assert [finding.remedy.partition(":")[0] for finding in found] == said
    assert all(finding.verdict is Verdict.LIMITED for finding in found)
