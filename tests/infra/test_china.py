"""In China's regions: its partition and endpoints, and no name that only resolves elsewhere."""

from __future__ import annotations

import json
import re

import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.template.synthesis import synthesise
from tests.infra.conftest import read_template
from tests.infra.test_template import charts, helm_values

REGISTRY = "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn"
CONFIG = f"""\
stackName: sdoneks
modelBucketArn: arn:aws-cn:s3:::my-models
APIGW: {{stageName: dev, throttle: {{rateLimit: 30, burstLimit: 50}}}}
modelsRuntime:
- name: sdruntime
  namespace: "default"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  dynamicModel: false
  type: sdwebui
  extraValues:
    runtime:
      inferenceApi: {{image: {{repository: {REGISTRY}/sd-on-eks/sdwebui, tag: latest}}}}
      queueAgent: {{image: {{repository: {REGISTRY}/sd-on-eks/queue-agent, tag: latest}}}}
    karpenter:
      nodeTemplate: {{amiFamily: Bottlerocket, dataVolume: {{snapshotID: snap-1234567890}}}}
      provisioner: {{instanceType: ["g5.xlarge", "g5.2xlarge"], capacityType: {{onDemand: true, spot: true}}}}
- {{name: workflows, type: comfyui, nodePool: shared}}
nodePools: [{{name: shared, instanceTypes: [g4dn.xlarge], zones: [cn-northwest-1a]}}]
mirrors:
  imageRegistry: {REGISTRY}
  karpenterChart: oci://{REGISTRY}/karpenter/karpenter
  kedaChart: https://charts.example.cn/keda
"""
# Principals of services have one name in all partitions; they are no addresses.
SERVICE_PRINCIPAL = re.compile(r"^[a-z0-9-]+(\.eks)?\.amazonaws\.com$")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("china")
    config = parse_config(CONFIG, region="cn-northwest-1")
    assembly = synthesise(config, region="cn-northwest-1", out=out, asset_bucket="assets", for_emulator=True)
    return json.dumps(read_template(assembly))


def test_nothing_names_a_place_outside_china(template: str) -> None:
    hosts = set(re.findall(r"[a-z0-9.-]+\.amazonaws\.com(?!\.cn)\b", template))
    assert {host for host in hosts if not SERVICE_PRINCIPAL.match(host)} == set()
    for name in ("public.ecr.aws", "ghcr.io", "github.io", "docker.io", "huggingface", "arn:aws:", "us-east-1"):
        assert name not in template, name
    assert "arn:aws-cn:s3:::my-models" in template
    assert "ec2.amazonaws.com.cn" in template


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
