"""Quotas and instance types, which no emulator knows, over botocore's own checks of parameters and answers."""

from __future__ import annotations

import boto3
from botocore.stub import Stubber

from darkroom.config.loader import parse_config
from darkroom.infra.cloud import Cloud
from darkroom.infra.preflight import Finding, Verdict, check, needed_quotas

CONFIG = """\
modelsRuntime:
- name: sdruntime
  type: comfyui
  extraValues:
    karpenter: {provisioner: {instanceType: [g5.xlarge, g5.2xlarge], capacityType: {onDemand: true, spot: %s}}}
mirrors: {imageRegistry: example.com}
network: {natGateways: 3}
"""


class Account:
    """An account whose answers are given in advance."""

    def __init__(self) -> None:
        self.cloud = Cloud(boto3.Session(region_name="us-west-2"), "us-west-2")
        self.stubs = {name: Stubber(self.cloud.client(name)) for name in ("sts", "ec2", "service-quotas")}
        for stub in self.stubs.values():
            stub.activate()
        self.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})

    def knows_types(self) -> None:
        types = [
            {"InstanceType": "g5.xlarge", "VCpuInfo": {"DefaultVCpus": 4}},
            {"InstanceType": "g5.2xlarge", "VCpuInfo": {"DefaultVCpus": 8}},
        ]
        self.stubs["ec2"].add_response("describe_instance_types", {"InstanceTypes": types})

    def allows(self, *values: float) -> None:
        for value in values:
            self.stubs["service-quotas"].add_response("get_service_quota", {"Quota": {"Value": value}})

    def offers(self, *offered: tuple[str, str]) -> None:
        entries = [{"InstanceType": name, "Location": zone} for name, zone in offered]
        self.stubs["ec2"].add_response("describe_instance_type_offerings", {"InstanceTypeOfferings": entries})

    def findings(self, spot: str = "true") -> dict[str, Finding]:
        found = check(self.cloud, parse_config(CONFIG % spot))
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()
        return {finding.subject.partition(":")[0]: finding for finding in found}


def test_an_account_with_enough_of_everything() -> None:
    account = Account()
    account.knows_types()
    account.allows(64, 64, 9000, 100, 5, 5, 5)
    account.offers(("g5.xlarge", "us-west-2a"), ("g5.2xlarge", "us-west-2b"))
    assert {finding.verdict for finding in account.findings().values()} <= {Verdict.GOOD, Verdict.UNKNOWN}


def test_a_new_account_that_may_start_no_gpu() -> None:
    account = Account()
    account.knows_types()
    account.allows(0, 0, 9000, 100, 5, 5, 2)
    account.offers()
    findings = account.findings()
    on_demand = findings["quota Running On-Demand G and VT instances"]
    assert on_demand.verdict is Verdict.MISSING
    assert on_demand.remedy == "0 are allowed, 4 are needed: ask for more in Service Quotas (ec2/L-DB2E81BA)"
    assert findings["quota EC2-VPC Elastic IPs"].remedy.startswith("2 are allowed, 3 are needed")
    types = findings["instance types of sdruntime"]
    assert types.verdict is Verdict.MISSING
    assert "none of g5.xlarge, g5.2xlarge is offered in us-west-2" in types.remedy


def test_only_what_is_used_has_to_be_allowed() -> None:
    account = Account()
    account.knows_types()
    names = [quota.name for quota in needed_quotas(account.cloud, parse_config(CONFIG % "false"))]
    assert "All G and VT Spot Instance Requests" not in names
    assert "NAT gateways per Availability Zone" in names


def test_who_may_not_read_quotas_may_still_deploy() -> None:
    account = Account()
    account.stubs["ec2"].add_client_error("describe_instance_types", "UnauthorizedOperation")
    account.stubs["ec2"].add_client_error("describe_instance_type_offerings", "UnauthorizedOperation")
    findings = account.findings()
    assert findings["service quotas"].verdict is Verdict.UNKNOWN
    assert findings["instance types"].verdict is Verdict.UNKNOWN
