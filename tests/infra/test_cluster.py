"""The cluster is asked without kubectl: can nodes come, do old ones still leave, and a runtime is paused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from darkroom.cli.main import main
from darkroom.config.loader import parse_config
from darkroom.errors import AwsRefused, AwsUnavailable, StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.cluster_api import ClusterApi, open_cluster
from darkroom.infra.cluster_objects import (
    PAUSED,
    READY_SECONDS,
    all_objects,
    node_object_name,
    node_objects,
    scaled_object,
    wait_until_gone,
    wait_until_ready,
)
from darkroom.infra.steps.stack_operations import Timing
from tests.infra.chart import Chart, kinds, node_values_for
from tests.infra.chart_matrix import SDWEBUI
from tests.infra.fake_cluster import FakeCluster, fake_cluster

CONFIG = parse_config(
    """\
modelsRuntime:
- {name: own, namespace: sd, type: sdwebui}
- {name: shares, namespace: flow-two, type: comfyui, nodePool: shared}
- {name: elsewhere, type: sdwebui, extraValues: {karpenter: {enabled: false}}}
- {name: fixed, type: sdwebui, nodePool: shared, extraValues: {runtime: {scaling: {enabled: false}}}}
nodePools: [{name: shared}]
"""
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[FakeCluster, ClusterApi]]:
    with fake_cluster(tmp_path) as (cluster, url):
        for found in all_objects(CONFIG):
            cluster.add(found.path)
        cloud = cloud_at(url)
        with closing(open_cluster(cloud, cluster.outputs)) as api:
            yield cluster, api


def cloud_at(url: str) -> Cloud:
    session = boto3.Session(aws_access_key_id="SELF", aws_secret_access_key="s", region_name="us-east-1")
    return Cloud(session, "us-east-1", url)


def timing(step: float = 5.0) -> Timing:
    """Time goes on with every look at the clock."""
    ticks = itertools.count()
    return Timing(lambda: next(ticks) * step, lambda _: None, poll_seconds=0)


def test_all_without_which_no_pod_comes_is_asked_for() -> None:
    assert [(found.kind, found.name) for found in all_objects(CONFIG)] == [
        ("EC2NodeClass", "default-shared-gpu"),
        ("NodePool", "default-shared-gpu"),
        ("EC2NodeClass", "sd-own-nodes-gpu"),
        ("NodePool", "sd-own-nodes-gpu"),
        ("ScaledObject", "own"),
        ("ScaledObject", "shares"),
        ("ScaledObject", "elsewhere"),
    ]


@pytest.mark.parametrize(
    ("namespace", "release"), [("sd", "own-nodes"), ("a-b", "c"), ("n" * 63, "r" * 40), ("n" * 40, "r" * 12)]
)
def test_nodes_are_looked_for_under_the_charts_own_names(chart: Chart, namespace: str, release: str) -> None:
    made = kinds(chart.render(node_values_for(SDWEBUI), release=release, namespace=namespace))
    for kind in ("NodePool", "EC2NodeClass"):
        assert made[kind]["metadata"]["name"] == node_object_name(namespace, release)


def test_what_is_ready_is_not_told_of(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    assert wait_until_ready(api, CONFIG, timing()) == []
    assert {who for _, _, who in fake.asked} == {"ADMIN"}  # the stack's own role, not whoever asks


def test_what_is_not_ready_is_named_with_its_own_reason(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    own, pool, shared, *_ = all_objects(CONFIG)
    fake.add(own.path, False, "SubnetsReady=False")
    fake.add(pool.path, False, "NodeClassReady=False")
    del fake.objects[shared.path]
    fake.add(scaled_object("sd", "own").path, False, "no access to the queue")
    fake.objects[scaled_object("default", "elsewhere").path]["status"] = {}
    fake.add(scaled_object("flow-two", "shares").path, deletionTimestamp="2026-11-25T00:00:00Z")
    lacking = {(entry.found.kind, entry.found.name): entry.why for entry in wait_until_ready(api, CONFIG, timing())}
    assert lacking == {
        (own.kind, own.name): "is not ready: Because: SubnetsReady=False",
        (pool.kind, pool.name): "is not ready: Because: NodeClassReady=False",
        (shared.kind, shared.name): "is not there",
        ("ScaledObject", "own"): "is not ready: Because: no access to the queue",
        ("ScaledObject", "elsewhere"): "has not been looked at by its controller",
        ("ScaledObject", "shares"): "is being removed",
    }


def test_what_gets_ready_is_waited_for(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    path = scaled_object("sd", "own").path
    fake.add(path, False)
    looks = itertools.count()

    def sleep(seconds: float) -> None:
        if next(looks) == 2:
            fake.add(path)

    assert wait_until_ready(api, CONFIG, Timing(lambda: 0.0, sleep)) == []
    assert READY_SECONDS >= 30


def test_nothing_is_made_into_what_is_still_leaving(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    (node_class, *_) = node_objects(CONFIG)
    fake.add(node_class.path, deletionTimestamp="2026-11-25T00:00:00Z")
    told: list[str] = []

    def sleep(seconds: float) -> None:
        fake.objects.pop(node_class.path)

    wait_until_gone(api, CONFIG, Timing(lambda: 0.0, sleep), told.append)
    assert [line.partition(" is still")[0] for line in told] == [f"EC2NodeClass {node_class.name}"]
    fake.add(node_class.path, deletionTimestamp="2026-11-25T00:00:00Z")
    with pytest.raises(StackFailure, match="has been on its way out for 15 minutes"):
        wait_until_gone(api, CONFIG, timing(300), told.append)


def test_a_runtime_is_paused_and_goes_on(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    path = scaled_object("sd", "own").path
    fake.objects[path]["metadata"]["annotations"] = {"kept": "yes"}
    api.patch(path, {"metadata": {"annotations": {PAUSED: "0"}}})
    assert fake.objects[path]["metadata"]["annotations"] == {"kept": "yes", PAUSED: "0"}
    api.patch(path, {"metadata": {"annotations": {PAUSED: None}}})
    assert fake.objects[path]["metadata"]["annotations"] == {"kept": "yes"}


def test_pause_and_resume_as_they_are_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SELF")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with fake_cluster(tmp_path) as (fake, url):
        path = scaled_object("sd", "own").path
        fake.add(path)
        more = ["--stack-name", "sdoneks", "--region", "us-east-1", "--endpoint-url", url]
        assert main(["pause", "own", *more]) == 0
        assert fake.objects[path]["metadata"]["annotations"] == {PAUSED: "0"}
        assert "own is paused" in capsys.readouterr().out
        assert main(["resume", "own", *more]) == 0
        assert fake.objects[path]["metadata"]["annotations"] == {}
        assert main(["pause", "none", *more]) != 0
        assert "has no runtime 'none'; there are: own, fixed" in capsys.readouterr().err
        assert main(["pause", "fixed", *more]) != 0
        assert "its pods are not counted by KEDA" in capsys.readouterr().err


def test_who_may_not_take_the_role_asks_as_himself(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as (fake, url):
        fake.may_assume = False
        with closing(open_cluster(cloud_at(url), fake.outputs)) as api:
            assert api.get("/anything") is None
        assert fake.asked == [("GET", "/anything", "SELF")]


def test_a_refusal_says_what_the_cluster_said(cluster: tuple[FakeCluster, ClusterApi]) -> None:
    fake, api = cluster
    fake.refuses = True
    with pytest.raises(AwsRefused, match="answers 403 to GET /a: you may not do this"):
        api.get("/a")


def test_only_the_clusters_own_authority_is_believed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with fake_cluster(tmp_path) as (fake, url), fake_cluster(tmp_path / "other") as (other, _):
        fake.endpoint = other.endpoint
        with (
            closing(open_cluster(cloud_at(url), fake.outputs)) as api,
            pytest.raises(AwsUnavailable, match="CERTIFICATE"),
        ):
            api.get("/a")
        assert other.asked == []


def test_a_stack_without_a_cluster_is_named() -> None:
    with pytest.raises(StackFailure, match="the stack has no cluster"):
        open_cluster(cloud_at("http://127.0.0.1:1"), {})
