"""The nodes that the chart makes: those of one runtime, and pools that several share."""

from __future__ import annotations

import pytest

from tests.infra.chart import Chart, kinds, values_for
from tests.infra.chart_matrix import MATRIX, SDWEBUI, VALUES


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
    nodes = kinds(chart.render(VALUES["pool"], release="shared"))
    assert set(nodes) == {"NodePool", "EC2NodeClass"}
    assert nodes["NodePool"]["metadata"]["name"] == "shared-gpu"
    pods = kinds(chart.render(VALUES["on a pool"]))
    assert not {"NodePool", "EC2NodeClass"} & set(pods)
    assert set(pods) | set(nodes) == set(kinds(chart.render(VALUES["sdwebui"])))


@pytest.mark.parametrize(
    ("runtime", "pool", "release"), [("on a pool", "pool", "shared"), ("sdwebui", "sdwebui", "own")]
)
def test_pods_go_to_their_nodes_and_bear_all_that_is_there(chart: Chart, runtime: str, pool: str, release: str) -> None:
    nodes = kinds(chart.render(VALUES[pool], release=release))["NodePool"]
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
    found = kinds(chart.render(VALUES["pool"], release="shared"))
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
