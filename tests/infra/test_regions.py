"""Other regions and other clusters: what differs, and that no scanner finds what nobody has argued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.infra.template.assembly import Assembly
from tests.infra.accepted_findings import CDK_NAG, CDK_NAG_BESIDE, CFN_LINT, CHECKOV_TEMPLATE
from tests.infra.conftest import EXISTING, read_template
from tests.infra.other_regions import CENTRAL, CENTRAL_REGION, PINS, SMALL, SMALL_REGION
from tests.infra.scanners import Checkov, cfn_lint, nag, unargued
from tests.infra.test_template import charts, helm_values, of_type


def subnets(template: dict[str, Any]) -> list[Any]:
    return [subnet["AvailabilityZone"] for subnet in of_type(template, "AWS::EC2::Subnet")]


def test_two_zones_are_enough(small: Assembly) -> None:
    template = read_template(small)
    assert len(subnets(template)) == 4
    assert len(of_type(template, "AWS::EC2::NatGateway")) == 2
    (cluster,) = of_type(template, "AWS::EKS::Cluster")
    assert len(cluster["ResourcesVpcConfig"]["SubnetIds"]) == 2


def test_the_zones_that_were_chosen_are_in_the_template_by_their_names(central: Assembly) -> None:
    zones = subnets(read_template(central))
    assert zones == [f"eu-central-1{letter}" for letter in "abcabc"]


def test_one_component_node_is_not_asked_for_two_replicas(small: Assembly, central: Assembly) -> None:
    """Karpenter's refuse to share a node: the second would be waited for until the limit."""
    for assembly, replicas in ((small, 1), (central, 2)):
        releases = charts(read_template(assembly))
        assert helm_values(releases["karpenter"])["replicas"] == replicas
        assert helm_values(releases["keda"])["operator"]["replicaCount"] == replicas
        assert releases["karpenter"]["Properties"]["Timeout"] == "780s"


def test_nodes_and_add_ons_have_the_versions_that_were_pinned(small: Assembly, central: Assembly) -> None:
    template = read_template(central)
    (nodes,) = of_type(template, "AWS::EKS::Nodegroup")
    assert (nodes["Version"], nodes["ReleaseVersion"]) == (DEFAULT_KUBERNETES, f"{DEFAULT_KUBERNETES}.1-20261101")
    versions = {add_on["AddonName"]: add_on.get("AddonVersion") for add_on in of_type(template, "AWS::EKS::Addon")}
    assert {name: versions[name] for name in PINS.add_ons} == dict(PINS.add_ons)
    nodes_of_runtime = helm_values(charts(template)["sdruntime-nodes"])["karpenter"]["nodeTemplate"]
    assert nodes_of_runtime["amiVersion"] == "v1.50.0"
    assert json.loads(template["Outputs"]["Versions"]["Value"])["bottlerocket"] == "v1.50.0"
    (unpinned,) = of_type(read_template(small), "AWS::EKS::Nodegroup")
    assert unpinned["Version"] == DEFAULT_KUBERNETES, "it follows the control plane even where nobody could look"


def test_who_reaches_the_cluster_and_who_administers_it(small: Assembly, central: Assembly) -> None:
    (closed,), (open_to_some,) = (of_type(read_template(found), "AWS::EKS::Cluster") for found in (small, central))
    assert closed["ResourcesVpcConfig"]["EndpointPublicAccess"] is False
    assert closed["ResourcesVpcConfig"]["EndpointPrivateAccess"] is True
    assert "Logging" not in closed or not closed["Logging"]["ClusterLogging"]["EnabledTypes"]
    assert open_to_some["ResourcesVpcConfig"]["PublicAccessCidrs"] == ["192.0.2.0/24", "198.51.100.0/24"]
    (access,) = (
        role for role in of_type(read_template(small), "AWS::IAM::Role") if "AccessRole" in str(role.get("RoleName"))
    )
    (statement,) = access["AssumeRolePolicyDocument"]["Statement"]
    account = "arn:aws:iam::123456789012"
    assert statement["Principal"]["AWS"] == [f"{account}:role/platform", f"{account}:user/ann"]


def test_alarms_go_to_one_s_own_topic_and_without_insights_none_waits_for_figures(small: Assembly) -> None:
    template = read_template(small)
    actions = {json.dumps(alarm["AlarmActions"]) for alarm in of_type(template, "AWS::CloudWatch::Alarm")}
    assert actions == {'["arn:aws:sns:us-west-1:123456789012:on-call"]'}
    assert "ContainerInsights" not in json.dumps(of_type(template, "AWS::CloudWatch::Alarm"))
    (budget,) = of_type(template, "AWS::Budgets::Budget")
    told = [subscriber for n in budget["NotificationsWithSubscribers"] for subscriber in n["Subscribers"]]
    assert {subscriber["SubscriptionType"] for subscriber in told} == {"SNS"}
    assert "/aws/eks/" not in json.dumps(of_type(template, "Custom::LogRetention"))


def test_nothing_of_the_account_s_is_set_by_a_stack(small: Assembly, template: dict[str, Any]) -> None:
    for found in (read_template(small), template):
        assert of_type(found, "AWS::ApiGateway::Account") == []


def test_cfn_lint(small: Assembly, central: Assembly, existing_assembly: Assembly) -> None:
    for assembly, region in ((small, SMALL_REGION), (central, CENTRAL_REGION), (existing_assembly, "us-east-1")):
        assert unargued(cfn_lint(assembly, region), CFN_LINT) == [], region


def test_checkov(small: Assembly, central: Assembly, existing_assembly: Assembly, checkov_found: Checkov) -> None:
    found = checkov_found.of_templates(small, central, existing_assembly)
    assert unargued(found, {**CHECKOV_TEMPLATE, **CLOSED}) == []


CLOSED = {
    ("CKV_AWS_37", "*Cluster*"): "the user's own choice here: cluster.controlPlaneLogs is empty",
}


@pytest.mark.parametrize(("config", "region"), [(SMALL, SMALL_REGION), (CENTRAL, CENTRAL_REGION)])
def test_cdk_nag(config: str, region: str, small: Assembly, central: Assembly, tmp_path: Path) -> None:
    assembly = small if region == SMALL_REGION else central
    found = nag(parse_config(config, region=region), assembly, tmp_path, region)
    assert unargued(found, {**CDK_NAG, **ZONES_BY_NAME}) == []


ZONES_BY_NAME = {
    ("W3010", "Network/Vpc/*"): "zones that were chosen beforehand stand in the template by their names",
}


def test_cdk_nag_beside_a_cluster_that_is_there(existing_assembly: Assembly, tmp_path: Path) -> None:
    found = nag(parse_config(EXISTING), existing_assembly, tmp_path)
    assert unargued(found, {**CDK_NAG, **CDK_NAG_BESIDE}) == []
