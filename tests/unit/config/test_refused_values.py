"""What would fail half an hour after `darkroom deploy` began is refused before, with its line and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from tests.refused_values import REFUSED, Wrong, config_with

from darkroom.config.chart_values import ChartValues
from darkroom.config.loader import parse_config
from darkroom.config.process_environment import unfit_settings
from darkroom.errors import SettingsError


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: f"{wrong.kind} {wrong.key} {wrong.value}")
def test_it_is_refused_with_line_and_reason(wrong: Wrong) -> None:
    text, line = config_with(wrong)
    with pytest.raises(SettingsError) as refusal:
        parse_config(text)
    lines = [part for part in str(refusal.value).splitlines() if part.startswith(f"  line {line}: ")]
    assert lines, refusal.value
    assert any(f"extraValues.{wrong.key}" in part for part in lines), refusal.value
    assert any(wrong.reason in part for part in lines), refusal.value


def test_every_kind_of_object_is_among_them() -> None:
    kinds = {wrong.kind for wrong in REFUSED}
    assert kinds == {
        "NodePool", "EC2NodeClass", "ScaledObject", "HorizontalPodAutoscaler", "Deployment", "PodDisruptionBudget",
        "NetworkPolicy", "PersistentVolume", "PersistentVolumeClaim",
    }  # fmt: skip


def test_nothing_in_the_charts_values_is_left_unchecked() -> None:
    """A value that may be anything is one that an API server is the first to look at."""
    free: set[str] = set()
    walked: set[type[BaseModel]] = set()

    def walk(model: type[BaseModel]) -> None:
        if model in walked:
            return
        walked.add(model)
        for name, field in model.model_fields.items():
            look(field.annotation, f"{model.__name__}.{name}")

    def look(annotation: Any, where: str) -> None:
        if annotation is Any:
            free.add(where)
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            walk(annotation)
        for inner in get_args(annotation):
            look(inner, where)

    walk(ChartValues)
    assert len(walked) > 30
    assert free == set()


WHOLE = """\
modelsRuntime:
- name: sdruntime
  type: sdwebui
  extraValues:
    karpenter:
      provisioner:
        labels: {team: pictures, node.kubernetes.io/purpose: gpu, example.com/a: ''}
        annotations: {example.com/why: any text at all}
        extraRequirements:
        - {key: karpenter.k8s.aws/instance-generation, operator: Gt, values: ['4']}
        - {key: karpenter.k8s.aws/instance-family, operator: In, values: [g5, g6], minValues: 2}
        - {key: karpenter.k8s.aws/instance-local-nvme, operator: Exists}
        extraTaints: [{key: example.com/team, value: a, effect: NoExecute}]
        disruption:
          terminationGracePeriod: 1h
          budgets:
          - {nodes: '0', schedule: '0 9-17/2 * jan,dec mon-fri', duration: 8h30m, reasons: [Drifted]}
          - {nodes: 100%, schedule: '@daily', duration: 10m}
      nodeTemplate:
        tags: {cost: pictures}
        subnetSelector: {purpose: '*'}
        osVolume: {volumeType: io2}
        userData: |
          [settings.kernel.sysctl]
          "vm.max_map_count" = "262144"
    runtime:
      tolerations: [{operator: Exists}, {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]
      scaling:
        fallback: {failureThreshold: 3, replicas: 2, behavior: currentReplicasIfHigher}
        extraHPAConfig:
          scaleUp: {selectPolicy: Min, tolerance: 50m, policies: [{type: Percent, value: 50, periodSeconds: 60}]}
      inferenceApi:
        image: {repository: 'registry.example:5000/team/sd__webui', tag: v1}
        extraEnv: [{name: A.b, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: B, value: ''}]
        securityContext: {runAsUser: 7, seccompProfile: {type: Localhost, localhostProfile: a.json}}
        resources: {limits: {nvidia.com/gpu: 1, memory: 16Gi}, requests: {nvidia.com/gpu: '1', cpu: 7000m}}
      networkPolicy:
        extraEgress:
        - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {namespaceSelector: {matchLabels: {a: b}}}]
          ports: [{port: 8000, endPort: 8010, protocol: TCP}, {port: dns}]
      disruptionBudget: {maxUnavailable: 1}
      persistence: {size: 1Ti, storageClass: '-', existingVolume: mine.example}
"""


def test_what_the_api_servers_take_is_taken() -> None:
    parse_config(WHOLE)


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        ("extraValues: {provisioner: {disruption: {terminationGracePeriod: 5m}}}", "at least 330s"),
        ("labels: {kubernetes.io/a: b}", "domain kubernetes.io"),
        ("taints: [{key: 'a b', effect: NoSchedule}]", "must match"),
        ("extraValues: {nodeTemplate: {osVolume: {volumeType: io2, throughput: 125}}}", "for gp3 alone"),
        ("gpusPerNode: [4]", "gpusPerNode leaves none of the instance types, g6.2xlarge, g5.2xlarge"),
        ("instanceTypes: [t3.large]", "t3.large has no NVIDIA GPU"),
        ("instanceFamilies: [g5, m5]", "m5 has no NVIDIA GPU"),
        (
            "instanceTypes: [g5.xlarge], extraValues: {provisioner: {extraRequirements:"
            " [{key: karpenter.k8s.aws/instance-family, operator: NotIn, values: [g5]}]}}",
            "extraRequirements[0] leaves none of the instance types, g5.xlarge",
        ),
        ("expireAfter: 0h", "must match"),
        ("volumeSize: 10Gi", "nodePools[0].volumeSize leaves iops at 6000; gp3 of 10Gi has from 3000 to 5000"),
    ],
)
def test_pools_are_checked_like_a_runtimes_own_nodes(pool: str, reason: str) -> None:
    text = f"modelsRuntime: [{{name: a, type: sdwebui, nodePool: shared}}]\nnodePools:\n- {{name: shared, {pool}}}\n"
    with pytest.raises(SettingsError, match=re.escape(reason)):
        parse_config(text)


@pytest.mark.parametrize(
    "text",
    [
        "modelsRuntime: [{name: a, type: sdwebui}, {name: a-nodes, type: comfyui}]",
        "modelsRuntime: [{name: a, type: sdwebui}, {name: b, type: comfyui, nodePool: a-nodes}]\n"
        "nodePools: [{name: a-nodes}]",
    ],
)
def test_two_releases_of_one_name_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"'a-nodes' is what the nodes of modelsRuntime\[0\] are called"):
        parse_config(text)


def test_every_setting_that_the_agents_page_lists_is_known() -> None:
    page = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()
    names = set(re.findall(r"^\| `(DARKROOM_[A-Z_]+)`", page, re.MULTILINE))
    assert len(names) > 20
    for name in names:
        runtime = {"extraValues": {"runtime": {"queueAgent": {"extraEnv": {name: ""}}}}}
        assert list(unfit_settings((), runtime)) == [], name


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("DARKROOM_COMPILE: sometimes", "must be one of auto, always, never, not 'sometimes'"),
        ("DARKROOM_KEEP_MODELS: '0'", "must be at least 1, not 0"),
        ("DARKROOM_KEEP_MODEL: '1'", "did you mean DARKROOM_KEEP_MODELS?"),
    ],
)
def test_what_the_built_in_runtime_would_refuse_is_refused_before(variable: str, reason: str) -> None:
    text = """\
modelsRuntime:
- name: sdruntime
  type: {type}
  extraValues:
    runtime:
      inferenceApi:
        extraEnv: {{{variable}}}
"""
    with pytest.raises(SettingsError, match=re.escape(reason)) as refusal:
        parse_config(text.format(type="diffusers", variable=variable))
    assert "  line 7: " in str(refusal.value)
    parse_config(text.format(type="sdwebui", variable=variable))  # somebody else's program, with words of its own
