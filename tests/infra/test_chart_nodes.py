"""The nodes that the chart makes: those of one runtime, and pools that several share."""

from __future__ import annotations

import pytest

from tests.infra.chart import Chart, container, kinds, node_values_for, pool_values_for, values_for
from tests.infra.chart_matrix import MATRIX, OTHER_NODES, SDWEBUI, VALUES


def test_soci_and_snapshot_exclude_each_other(chart: Chart) -> None:
    plain = kinds(chart.render(values_for(SDWEBUI)))["EC2NodeClass"]["spec"]
    assert plain["instanceStorePolicy"] == "RAID0"
    assert 'snapshotter = "soci"' in plain["userData"]
    assert all("snapshotID" not in mapping["ebs"] for mapping in plain["blockDeviceMappings"])
    cached = kinds(chart.render(values_for(MATRIX["guide's extraValues"])))["EC2NodeClass"]["spec"]
    assert "instanceStorePolicy" not in cached
    assert "soci" not in cached["userData"]
    assert cached["blockDeviceMappings"][1]["ebs"]["snapshotID"] == "snap-0123456789"


def test_a_pool_is_nodes_without_pods_and_its_runtimes_are_pods_without_nodes(chart: Chart) -> None:
    nodes = kinds(chart.render(VALUES["pool"], release="shared", namespace="default"))
    assert set(nodes) == {"NodePool", "EC2NodeClass"}
    assert nodes["NodePool"]["metadata"]["name"] == "default-shared-gpu"
    pods = kinds(chart.render(VALUES["on a pool"]))
    assert not {"NodePool", "EC2NodeClass"} & set(pods)
    assert set(pods) | set(nodes) == set(kinds(chart.render(VALUES["sdwebui"])))


@pytest.mark.parametrize(
    ("runtime", "pool", "release", "namespace"),
    [
        ("on a pool", "pool", "shared", "default"),
        ("sdwebui", "sdwebui", "own", "sd"),
        ("pods", "nodes", "sdruntime-nodes", "sd"),
    ],
)
def test_pods_go_to_their_nodes_and_bear_all_that_is_there(
    chart: Chart, runtime: str, pool: str, release: str, namespace: str
) -> None:
    nodes = kinds(chart.render(VALUES[pool], release=release, namespace=namespace))["NodePool"]
    pods = chart.render(VALUES[runtime], release="sdruntime" if runtime != pool else release)
    pod = kinds(pods)["Deployment"]["spec"]["template"]["spec"]
    # Karpenter puts this label on every node of a pool.
    assert pod["nodeSelector"] == {"karpenter.sh/nodepool": nodes["metadata"]["name"]}
    for taint in nodes["spec"]["template"]["spec"]["taints"]:
        assert any(bears(toleration, taint) for toleration in pod["tolerations"]), taint


def bears(toleration: dict[str, str], taint: dict[str, str]) -> bool:
    same_value = toleration["operator"] == "Exists" or toleration.get("value") == taint.get("value")
    return (toleration["key"], toleration["effect"]) == (taint["key"], taint["effect"]) and same_value


def test_a_pool_has_the_nodes_that_it_says(chart: Chart) -> None:
    found = kinds(chart.render(VALUES["pool"], release="shared", namespace="default"))
    spec = found["NodePool"]["spec"]
    requirements = {entry["key"]: entry["values"] for entry in spec["template"]["spec"]["requirements"]}
    assert requirements == {
        "karpenter.sh/capacity-type": ["spot"],
        "karpenter.k8s.aws/instance-family": ["g5", "g6"],
        "karpenter.k8s.aws/instance-gpu-count": ["1", "4"],
        "topology.kubernetes.io/zone": ["us-west-2a"],
    }
    assert spec["limits"] == {"nvidia.com/gpu": 8, "cpu": "64", "memory": "500Gi"}
    assert spec["disruption"]["consolidateAfter"] == "5m"
    assert spec["template"]["spec"]["expireAfter"] == "720h"
    assert spec["template"]["metadata"]["labels"] == {"darkroom/node-pool": "shared", "team": "pictures"}
    volumes = found["EC2NodeClass"]["spec"]["blockDeviceMappings"]
    assert volumes[1]["ebs"]["volumeSize"] == "200Gi"
    assert found["EC2NodeClass"]["spec"]["tags"]["node-pool"] == "shared"


def test_nodes_are_the_namespaces_and_the_releases_so_that_two_never_share_one(chart: Chart) -> None:
    """None of these belongs to a namespace: a runtime of the same name in another one would be refused."""

    def names(namespace: str, release: str) -> set[str]:
        found = kinds(chart.render(values_for(SDWEBUI), release=release, namespace=namespace))
        nodes = {found[kind]["metadata"]["name"] for kind in ("NodePool", "EC2NodeClass", "PersistentVolume")}
        (taint,) = (t["value"] for t in found["NodePool"]["spec"]["template"]["spec"]["taints"] if "value" in t)
        assert max(map(len, nodes)) <= 80
        assert len(found["NodePool"]["metadata"]["name"]) <= 63  # it is the value of a label
        return {*nodes, taint}

    places = [("sd", "r"), ("other", "r"), ("a", "b-c"), ("a-b", "c"), ("n" * 63, "r" * 40), ("n" * 63, "r" * 39 + "s")]
    found = [names(*place) for place in places]
    assert all(not one & other for index, one in enumerate(found) for other in found[:index])


def test_without_instance_types_a_node_has_one_gpu(chart: Chart) -> None:
    """Ten pods went onto a g5.48xlarge and a g6.24xlarge, which were paid until the last of them had gone."""

    def gpus(provisioner: str) -> list[list[str]]:
        runtime = f"- {{name: a, type: sdwebui, extraValues: {{karpenter: {{provisioner: {provisioner}}}}}}}"
        spec = kinds(chart.render(values_for(runtime)))["NodePool"]["spec"]["template"]["spec"]
        return [
            entry["values"] for entry in spec["requirements"] if entry["key"] == "karpenter.k8s.aws/instance-gpu-count"
        ]

    assert gpus("{instanceType: []}") == [["1"]]
    assert gpus("{instanceType: [], gpusPerNode: [1, 4]}") == [["1", "4"]]
    assert gpus("{instanceType: [g5.12xlarge]}") == []  # it says itself how many it has
    own = "{key: karpenter.k8s.aws/instance-gpu-count, operator: In, values: ['8']}"
    assert gpus(f"{{instanceType: [], extraRequirements: [{own}]}}") == [["8"]]
    families = kinds(chart.render(pool_values_for("- {name: shared, instanceFamilies: [g5]}"), release="shared"))
    assert "karpenter.k8s.aws/instance-gpu-count" in str(families["NodePool"])


def test_empty_nodes_leave_together_and_those_with_pods_a_few_at_a_time(chart: Chart) -> None:
    """With one budget of 10 % for all, eight empty ones left one by one: 2,184 node-seconds in place of 1,322."""
    disruption = kinds(chart.render(VALUES["nodes"], release="sdruntime-nodes"))["NodePool"]["spec"]["disruption"]
    assert disruption["budgets"] == [
        {"nodes": "100%", "reasons": ["Empty"]},
        {"nodes": "10%", "reasons": ["Drifted", "Underutilized"]},
    ]
    # Pods stay warm by cooldownPeriod; a node that outlives them has nothing to offer but a faster next start.
    assert disruption["consolidateAfter"] == "10s"


def test_nodes_that_are_there_already(chart: Chart) -> None:
    """Managed groups, Auto Mode, another autoscaler."""
    manifests = chart.render(VALUES["other nodes"])
    assert not {"NodePool", "EC2NodeClass"} & set(kinds(manifests))
    pod = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"eks.amazonaws.com/nodegroup": "gpus"}
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Exists"},
    ]
    assert container(manifests, "inference-api")["resources"]["limits"]["nvidia.com/gpu"] == "2"
    anywhere = chart.render(values_for(OTHER_NODES.replace("nodeSelector: {eks.amazonaws.com/nodegroup: gpus},", "")))
    assert "nodeSelector" not in kinds(anywhere)["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(("fast_start", "speed"), [("soci", (3000, 125)), ("snapshot", (6000, 600))])
def test_a_fast_volume_is_only_paid_for_where_images_come_from_it(
    chart: Chart, fast_start: str, speed: tuple[int, int]
) -> None:
    volume = "extraValues: {karpenter: {nodeTemplate: {dataVolume: {snapshotID: snap-0123456789}}}}"
    runtime = f"- {{name: sdruntime, type: comfyui{f', {volume}' if fast_start == 'snapshot' else ''}}}"
    manifests = chart.render(node_values_for(runtime, f"fastStart: {fast_start}"))
    (nodes,) = (manifest["spec"] for manifest in manifests if manifest["kind"] == "EC2NodeClass")
    (data,) = (m["ebs"] for m in nodes["blockDeviceMappings"] if m["deviceName"] == "/dev/xvdb")
    assert (data["iops"], data["throughput"]) == speed
