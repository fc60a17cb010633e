"""Deployments in other regions than the emulator's, by what differs there."""

from __future__ import annotations

from pathlib import Path

from darkroom.config.loader import parse_config
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.pins import ADD_ONS, OBSERVABILITY_ADD_ON, Pins
from darkroom.infra.template.synthesis import synthesise

# Two zones, one component node, and a cluster that tells little and is reached from within.
SMALL_REGION = "us-west-1"
SMALL = """\
modelsRuntime: [{name: sdruntime, type: comfyui}]
clusterComponents: {desiredCount: 1}
cluster:
  publicAccessCidrs: []
  controlPlaneLogs: []
  containerInsights: false
  administrators: ["arn:aws:iam::123456789012:role/platform", "arn:aws:iam::123456789012:user/ann"]
alarms: {topicArn: "arn:aws:sns:us-west-1:123456789012:on-call", monthlySpendUsd: 100}
"""
CENTRAL_REGION = "eu-central-1"
CENTRAL = """\
modelBucketArn: arn:aws:s3:::my-models
modelsRuntime: [{name: sdruntime, type: sdwebui, modelFilename: a.ckpt}]
network: {availabilityZones: [eu-central-1a, eu-central-1b, eu-central-1c], natGateways: 1}
cluster: {publicAccessCidrs: [192.0.2.0/24, 198.51.100.0/24]}
"""
CHINA_REGION = "cn-northwest-1"
REGISTRY = "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn"
CHINA = f"""\
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
PINS = Pins(
    kubernetes=DEFAULT_KUBERNETES,
    bottlerocket="v1.50.0",
    node_release=f"{DEFAULT_KUBERNETES}.1-20261101",
    add_ons=dict.fromkeys((*ADD_ONS, OBSERVABILITY_ADD_ON), "v1.2.3-eksbuild.1"),
)


def made(config: str, region: str, out: Path, pins: Pins | None = None) -> Assembly:
    """The assembly of a configuration for a region."""
    found = parse_config(config, region=region)
    return synthesise(found, region=region, out=out, asset_bucket="darkroom-assets", for_emulator=True, pins=pins)
