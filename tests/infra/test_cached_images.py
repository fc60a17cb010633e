"""Which images a snapshot has to hold, and whose nodes get it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from darkroom.config.loader import parse_config
from darkroom.errors import SettingsError
from darkroom.infra.snapshots.cached_images import images_to_cache, nodes_without_snapshot, volume_gib, with_snapshot
from darkroom.infra.snapshots.image_cache import contents_of
from darkroom.infra.template.chart_values import pod_images
from darkroom.infra.template.synthesis import synthesise
from tests.infra.chart import Chart, kinds, values_for
from tests.infra.chart_matrix import COMFYUI, GUIDE_EXTRA, SDWEBUI

CONFIG = """\
modelBucketArn: arn:aws:s3:::my-models
fastStart: snapshot
mirrors: {imageRegistry: registry.example.com}
nodePools:
- {name: shared}
modelsRuntime:
- {name: alone, type: sdwebui, dynamicModel: true}
- {name: one, type: comfyui, nodePool: shared}
- {name: two, type: diffusers, modelFilename: a.safetensors, nodePool: shared}
- name: own
  type: sdwebui
  modelFilename: b.safetensors
  extraValues: {karpenter: {nodeTemplate: {dataVolume: {snapshotID: snap-01}}}}
"""


def test_every_image_of_nodes_that_lack_a_snapshot_is_cached() -> None:
    config = parse_config(CONFIG)
    assert nodes_without_snapshot(config) == ["alone", "shared"]
    names = [re.split("[:@]", image)[0].rpartition("/")[2] for image in images_to_cache(config, tracing=True)]
    assert sorted(names) == ["aws-otel-collector", "comfyui", "inference", "queue-agent", "sdwebui"]
    assert "aws-otel-collector" not in str(images_to_cache(config, tracing=False))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [("{}", 100), ("{dataVolume: {volumeSize: 60Gi}}", 60), ("{dataVolume: {volumeSize: 1Ti}}", 100)],
)
def test_the_snapshot_is_no_larger_than_the_smallest_volume_that_starts_from_it(nodes: str, expected: int) -> None:
    more = f"- {{name: small, type: comfyui, extraValues: {{karpenter: {{nodeTemplate: {nodes}}}}}}}\n"
    assert volume_gib(parse_config(CONFIG + more)) == expected
    pool = CONFIG.replace("{name: shared}", "{name: shared, volumeSize: 80Gi}")
    assert volume_gib(parse_config(pool + more)) == min(80, expected)


def test_they_all_get_it_and_a_snapshot_that_is_named_stays() -> None:
    config = with_snapshot(parse_config(CONFIG), "snap-02")
    assert nodes_without_snapshot(config) == []
    assert [runtime.snapshot_id for runtime in config.models_runtime] == ["snap-02", None, None, "snap-01"]
    assert [pool.snapshot_id for pool in config.node_pools] == ["snap-02"]


def test_nodes_that_pull_need_none() -> None:
    assert images_to_cache(parse_config(CONFIG.replace("fastStart: snapshot\n", "")), tracing=True) == []


def test_other_images_are_another_snapshot_and_their_order_is_not() -> None:
    assert contents_of(["a:1", "b:1"]) == contents_of(["b:1", "a:1"]) != contents_of(["a:1", "b:2"])


def test_synthesis_alone_says_that_a_snapshot_is_lacking(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no snapshotID is set for alone, shared: `darkroom deploy` finds"):
        synthesise(parse_config(CONFIG), region="us-east-1", out=tmp_path, asset_bucket="assets")


GUIDE_RUNTIME = "- name: sdruntime\n  type: sdwebui\n" + GUIDE_EXTRA


@pytest.mark.parametrize("mirrors", ["", "mirrors: {imageRegistry: registry.example.com}"])
@pytest.mark.parametrize("runtime", [SDWEBUI, COMFYUI, GUIDE_RUNTIME, "- {name: own, type: diffusers}"])
def test_the_images_are_those_that_the_chart_renders(chart: Chart, runtime: str, mirrors: str) -> None:
    config = parse_config(f"modelsRuntime:\n{runtime}\n{mirrors}")
    pod = kinds(chart.render(values_for(runtime, mirrors)))["Deployment"]["spec"]["template"]["spec"]
    rendered = {container["image"] for container in [*pod["initContainers"], *pod["containers"]]}
    assert set(pod_images(config, config.models_runtime[0], tracing=True)) == rendered
