"""Pools of nodes that runtimes share: what config.yaml may say of them, and what it comes to for the chart."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from darkroom.config.loader import parse_config
from darkroom.config.schemas import config_schema
from darkroom.errors import SettingsError
from darkroom.infra.template.chart_values import node_pool_values, node_values, runtime_values

POOL = """\
nodePools:
- name: shared
  instanceTypes: [g5.xlarge, g6.xlarge]
  capacityType: {onDemand: false, spot: true}
  limits: {nvidia.com/gpu: 8, cpu: "64"}
  zones: [us-west-2a, us-west-2b]
  gpusPerNode: [1]
  volumeSize: 200Gi
  consolidateAfter: 5m
  expireAfter: 720h
  labels: {team: pictures}
  taints: [{key: pictures, effect: NoSchedule}]
  extraValues:
    nodeTemplate: {tags: {cost: pictures}}
    provisioner: {extraRequirements: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}
"""
RUNTIMES = """\
modelsRuntime:
- {name: one, type: sdwebui, nodePool: shared}
- {name: two, type: comfyui, nodePool: shared}
- {name: alone, type: comfyui, extraValues: {karpenter: {provisioner: {instanceType: [g4dn.xlarge]}}}}
"""
ONE = "modelsRuntime: [{name: one, type: sdwebui, nodePool: shared}]\n"


def values_of_runtime(text: str, index: int) -> dict[str, Any]:
    config = parse_config(text)
    return runtime_values(
        config,
        config.models_runtime[index],
        region="us-west-2",
        queue_url="",
        dead_letter_queue_url="",
        output_topic_arn="",
        output_bucket="",
        task_table="",
        node_role_name="node-role",
        tracing=True,
        bottlerocket_version="v1.2.3",
    )


def values_of_pool(text: str) -> dict[str, Any]:
    config = parse_config(text)
    return node_pool_values(
        config, config.node_pools[0], region="us-west-2", node_role_name="node-role", bottlerocket_version="v1.2.3"
    )


def test_a_pool_says_what_the_chart_makes_of_it() -> None:
    values = values_of_pool(RUNTIMES + POOL)
    assert values["runtime"]["enabled"] is False
    assert values["fastStart"] == "soci"
    assert values["karpenter"] == {
        "provisioner": {
            "instanceType": ["g5.xlarge", "g6.xlarge"],
            "capacityType": {"onDemand": False, "spot": True},
            "resourceLimits": {"nvidia.com/gpu": 8, "cpu": "64"},
            "disruption": {"consolidateAfter": "5m", "expireAfter": "720h"},
            "labels": {"team": "pictures"},
            "extraTaints": [{"key": "pictures", "effect": "NoSchedule"}],
            "extraRequirements": [
                {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "In", "values": ["1"]},
                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-west-2a", "us-west-2b"]},
                {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
            ],
        },
        "nodeTemplate": {
            "dataVolume": {"volumeSize": "200Gi", "iops": 3000, "throughput": 125},
            "tags": {"cost": "pictures"},
            "iamRole": "node-role",
            "amiVersion": "v1.2.3",
        },
    }


def test_families_take_the_place_of_the_charts_own_types() -> None:
    provisioner = values_of_pool(ONE + "nodePools: [{name: shared, instanceFamilies: [g5, g6]}]")["karpenter"][
        "provisioner"
    ]
    assert provisioner["instanceType"] == []
    assert provisioner["extraRequirements"] == [
        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5", "g6"]}
    ]


def test_what_a_pool_does_not_say_is_left_to_the_chart() -> None:
    assert parse_config(ONE + "nodePools: [{name: shared}]").node_pools[0].chart_values() == {}


def test_a_runtime_on_a_pool_has_no_nodes_of_its_own_and_bears_the_pools_taints() -> None:
    for index in (0, 1):
        assert values_of_runtime(RUNTIMES + POOL, index)["karpenter"] == {
            "nodePool": "shared",
            "nodePoolNamespace": "default",
            "provisioner": {"extraTaints": [{"key": "pictures", "effect": "NoSchedule"}]},
        }
    alone = values_of_runtime(RUNTIMES + POOL, 2)["karpenter"]
    assert (alone["nodePool"], alone["nodePoolNamespace"]) == ("alone-nodes", "default")
    config = parse_config(RUNTIMES + POOL)
    nodes = node_values(config, config.models_runtime[2], region="us-west-2", node_role_name="node-role")["karpenter"]
    assert nodes["provisioner"] == {"instanceType": ["g4dn.xlarge"]}
    assert nodes["nodeTemplate"]["iamRole"] == "node-role"


def test_a_runtimes_nodes_are_its_pools() -> None:
    config = parse_config(RUNTIMES + POOL)
    types = [config.node_values_of(runtime)["provisioner"]["instanceType"] for runtime in config.models_runtime]
    assert types == [["g5.xlarge", "g6.xlarge"], ["g5.xlarge", "g6.xlarge"], ["g4dn.xlarge"]]


def test_what_is_shown_is_read_again() -> None:
    config = parse_config(RUNTIMES + POOL)
    shown = yaml.safe_dump(config.model_dump(by_alias=True, mode="json", exclude_none=True))
    assert parse_config(shown) == config


def test_the_schema_for_editors_takes_what_is_accepted_and_refuses_what_is_not() -> None:
    pool = config_schema()["$defs"]["NodePoolConfig"]
    accepted = yaml.safe_load(POOL)["nodePools"][0]
    assert set(accepted) <= set(pool["properties"])
    assert pool["additionalProperties"] is False
    assert pool["properties"]["extraValues"]["$ref"] == "#/$defs/ChartKarpenter"


def test_a_snapshot_of_the_pool_starts_its_nodes() -> None:
    text = ONE + "nodePools: [{name: shared, snapshotID: snap-0123456789}]\n"
    values = values_of_pool(text)
    assert values["fastStart"] == "snapshot"
    assert values["karpenter"]["nodeTemplate"]["dataVolume"] == {"snapshotID": "snap-0123456789"}
    assert parse_config(text + "fastStart: snapshot\n").node_pools[0].snapshot_id == "snap-0123456789"


def test_pools_are_in_the_users_own_subnets() -> None:
    subnets = [f"subnet-0000000{number}" for number in range(3)]
    network = f"""\
network:
  vpcId: vpc-01234567
  privateSubnetIds: [{", ".join(subnets)}]
  availabilityZones: [us-west-2a, us-west-2b, us-west-2c]
"""
    assert values_of_pool(RUNTIMES + POOL + network)["karpenter"]["nodeTemplate"]["subnetIds"] == subnets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE, "line 1: modelsRuntime[0].nodePool 'shared' is not in nodePools; there is none yet"),
        (ONE + "nodePools: [{name: sharde}]", "'shared' is not in nodePools; there are: sharde"),
        (ONE + "nodePools: [{name: shared}, {name: shared}]", "'shared' is already the name of nodePools[0]"),
        (ONE + "nodePools: [{name: shared}, {name: spare}]", "no runtime is on 'spare': write nodePool: spare"),
        (ONE + "nodePools: [{name: shared}, {name: one}]", "'one' is the name of modelsRuntime[0]"),
        (ONE + "nodePools: [{name: shared, snapshotID: none}]", "nodePools[0].snapshotID must match"),
        (ONE + "nodePools: [{name: shared, instanceType: [g5.xlarge]}]", "did you mean instanceTypes?"),
        (
            ONE + "nodePools: [{name: shared, instanceTypes: [g5.xlarge], instanceFamilies: [g6]}]",
            "instanceFamilies and instanceTypes exclude each other",
        ),
        (ONE + "nodePools: [{name: shared, capacityType: {onDemand: false, spot: false}}]", "one of onDemand and spot"),
        (ONE + "nodePools: [{name: shared, taints: [{key: a, effect: Never}]}]", "must be 'NoSchedule'"),
        (
            ONE + "nodePools: [{name: shared, extraValues: {provisioner: {instanceType: [g5.xlarge]}}}]",
            "extraValues.provisioner.instanceType has a key of its own here: say it with instanceTypes",
        ),
        (ONE + "nodePools: [{name: shared, extraValues: {provisoner: {}}}]", "did you mean provisioner?"),
        (
            ONE + "nodePools: [{name: shared, extraValues: {nodeTemplate: {iamRole: mine}}}]",
            "nodePools[0].extraValues.nodeTemplate.iamRole is said by the deployment itself",
        ),
        (
            ONE + "nodePools: [{name: shared, snapshotID: snap-01}]\nfastStart: soci",
            "nodePools[0].snapshotID is not used with fastStart: soci",
        ),
        (
            ONE + "nodePools: [{name: shared, zones: [us-west-2d]}]\n"
            "network: {availabilityZones: [us-west-2a, us-west-2b, us-west-2c]}",
            "nodePools[0].zones has us-west-2d, where the VPC has no subnet",
        ),
        (
            "modelsRuntime: [{name: one, type: sdwebui, nodePool: shared, extraValues: {karpenter: {provisioner: {}}}}]"
            "\nnodePools: [{name: shared}]",
            "extraValues.karpenter is about nodes of the runtime's own, but it is on the pool 'shared'",
        ),
        (
            "modelsRuntime: [{name: one, type: sdwebui, extraValues: {karpenter: {nodePool: shared}}}]",
            "extraValues.karpenter.nodePool is said by the deployment itself",
        ),
    ],
)
def test_bad_pools_are_named(text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_config(text)
    faults = str(caught.value).splitlines()[1:]
    assert expected in faults[0]
    assert len(faults) == 1, faults
