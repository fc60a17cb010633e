"""In China's regions: its partition and endpoints, and no name that only resolves elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from darkroom.config.gpu_demand import gpu_demands
from darkroom.config.loader import parse_config
from darkroom.config.partition import partition_facts
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.chart_values import node_pool_values, node_values
from tests.infra.accepted_findings import CDK_NAG, CFN_LINT, CHECKOV_TEMPLATE
from tests.infra.conftest import read_template
from tests.infra.other_regions import CHINA, CHINA_REGION
from tests.infra.scanners import Checkov, cfn_lint, nag, unargued
from tests.infra.test_template import charts, helm_values

# Principals of services have one name in all partitions; they are no addresses.
SERVICE_PRINCIPAL = re.compile(r"^[a-z0-9-]+(\.eks)?\.amazonaws\.com$")


@pytest.fixture(scope="module")
def template(china: Assembly) -> str:
    return json.dumps(read_template(china))


def test_no_scanner_finds_what_nobody_has_argued(china: Assembly, checkov_found: Checkov, tmp_path: Path) -> None:
    assert unargued(cfn_lint(china, CHINA_REGION), CFN_LINT) == []
    assert unargued(checkov_found.of_templates(china), CHECKOV_TEMPLATE) == []
    assert unargued(nag(parse_config(CHINA, region=CHINA_REGION), china, tmp_path, CHINA_REGION), CDK_NAG) == []


def test_nothing_names_a_place_outside_china(template: str) -> None:
    hosts = set(re.findall(r"[a-z0-9.-]+\.amazonaws\.com(?!\.cn)\b", template))
    assert {host for host in hosts if not SERVICE_PRINCIPAL.match(host)} == set()
    for name in ("public.ecr.aws", "ghcr.io", "github.io", "docker.io", "huggingface", "arn:aws:", "us-east-1"):
        assert name not in template, name
    assert "arn:aws-cn:s3:::my-models" in template
    assert "ec2.amazonaws.com.cn" in template


def test_roles_of_instances_trust_the_partitions_own_ec2(template: str) -> None:
    """EKS refuses others in CreateNodegroup; an EC2NodeClass with such a role is never ready."""
    trusted = [
        statement["Principal"]["Service"]
        for resource in json.loads(template)["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if "Service" in statement["Principal"]
    ]
    assert trusted.count("ec2.amazonaws.com.cn") == 2
    assert "ec2.amazonaws.com" not in trusted


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
def test_what_preflight_judges_is_what_is_deployed_where_the_user_names_no_type(region: str) -> None:
    config = parse_config("modelsRuntime: [{name: a, type: comfyui}, {name: b, type: comfyui, nodePool: p}]\n"
                          "nodePools: [{name: p}]")  # fmt: skip
    own = node_values(config, config.models_runtime[0], region=region, node_role_name="")
    pool = node_pool_values(config, config.node_pools[0], region=region, node_role_name="")
    judged = [list(demand.instance_types) for demand in gpu_demands(config, partition_facts(region))]
    assert [values["karpenter"]["provisioner"]["instanceType"] for values in (own, pool)] == judged


def test_a_shared_pool_has_the_nodes_that_china_has(template: str) -> None:
    provisioner = helm_values(charts(json.loads(template))["shared"])["karpenter"]["provisioner"]
    assert provisioner["instanceType"] == ["g4dn.xlarge"]


def test_what_china_does_not_have_is_left_out(template: str) -> None:
    document = json.loads(template)
    kinds = {resource["Type"] for resource in document["Resources"].values()}
    assert not {"AWS::XRay::ResourcePolicy", "AWS::Budgets::Budget"} & kinds
    releases = charts(document)
    for runtime in ("sdruntime", "workflows"):
        assert helm_values(releases[runtime])["runtime"]["queueAgent"]["xray"]["enabled"] is False
    for api in (r["Properties"] for r in document["Resources"].values() if r["Type"] == "AWS::ApiGateway::RestApi"):
        assert api["EndpointConfiguration"]["Types"] == ["REGIONAL"]
