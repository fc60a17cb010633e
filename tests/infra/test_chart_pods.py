"""The pods that the chart makes: what restarts them, what they may do, and where their models come from."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.infra.chart import Chart, container, kinds, pod_values_for, values_for
from tests.infra.chart_matrix import COMFYUI, IN_PLACE, SDWEBUI, VALUES


def agent_environment(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """What the chart tells the agent of `sdruntime`."""
    data: dict[str, str] = next(m["data"] for m in manifests if m["metadata"]["name"] == "sdruntime-agent")
    return data


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


@pytest.mark.parametrize("spelled", ["xray", "XRay"])
def test_traces_go_from_the_agent_to_a_collector_beside_it_unless_switched_off(chart: Chart, spelled: str) -> None:
    on = chart.render(VALUES["sdwebui"])
    collector = container(on, "trace-collector")
    (text,) = (entry["value"] for entry in collector["env"] if entry["name"] == "AOT_CONFIG_CONTENT")
    configuration = yaml.safe_load(text)
    agent = agent_environment(on)
    listens = configuration["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert agent["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{listens}"
    assert configuration["exporters"]["awsxray"]["region"] == agent["AWS_DEFAULT_REGION"]
    assert configuration["service"]["pipelines"]["traces"]["exporters"] == ["awsxray"]
    off = chart.render(values_for(IN_PLACE % f"queueAgent: {{{spelled}: {{enabled: false}}}}"))
    assert "trace-collector" not in yaml.safe_dump_all(off)
    agent = agent_environment(off)
    assert agent["DISABLE_XRAY"] == "true"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in agent


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
            if entry["name"] != "inference-api":  # which may write beside its code
                assert context["readOnlyRootFilesystem"] is True
                assert context["runAsNonRoot"] is True


@pytest.mark.parametrize("image", ["sdwebui", "comfyui", "inference"])
def test_what_we_build_runs_under_the_strictest_pod_security(chart: Chart, image: str) -> None:
    """Kubernetes' own standard `restricted` asks this of every container, and these kinds of volumes."""
    runtime_type = {"inference": "diffusers"}.get(image, image)
    runtime = f"- {{name: sdruntime, type: {runtime_type}}}"
    manifests = chart.render(pod_values_for(runtime, "mirrors: {imageRegistry: 'registry.example:5000/mine'}"))
    pod = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]
    assert f"registry.example:5000/mine/darkroom/{image}:" in container(manifests, "inference-api")["image"]
    for entry in [*pod["initContainers"], *pod["containers"]]:
        context = entry["securityContext"]
        assert context["runAsNonRoot"] is True, entry["name"]
        assert context["runAsUser"] == 10001  # the images' own user: a name alone does not prove that it is not root
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["seccompProfile"]["type"] == "RuntimeDefault"
        assert not any("hostPort" in port for port in entry.get("ports", []))
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    kinds_of_volumes = {key for volume in pod["volumes"] for key in volume if key != "name"}
    assert kinds_of_volumes <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def test_an_image_of_the_users_own_may_be_root(chart: Chart) -> None:
    """The guide's samples are; who knows better says so."""
    assert "runAsNonRoot" not in container(chart.render(VALUES["sdwebui"]), "inference-api")["securityContext"]
    own = "inferenceApi: {image: {repository: example.com/darkroom/inference-not}, securityContext: {runAsUser: 7}}"
    context = container(chart.render(values_for(IN_PLACE % own)), "inference-api")["securityContext"]
    assert context["runAsUser"] == 7
    assert "runAsNonRoot" not in context


def test_two_runtimes_have_two_volume_handles(chart: Chart) -> None:
    handles = {
        kinds(chart.render(values_for(SDWEBUI), release=release))["PersistentVolume"]["spec"]["csi"]["volumeHandle"]
        for release in ("one", "two")
    }
    assert len(handles) == 2


def test_links_may_lead_to_the_buckets_that_are_named(chart: Chart) -> None:
    named = values_for(SDWEBUI, "inputBucketArns: [arn:aws:s3:::one, arn:aws:s3:::two]")
    assert agent_environment(chart.render(named))["DARKROOM_LINK_BUCKETS"] == "pictures,one,two"
    assert "DARKROOM_LINK_BUCKETS" not in agent_environment(chart.render(VALUES["sdwebui"]))


def test_our_own_runtime_compiles_nothing_at_its_start_unless_it_is_told_to(chart: Chart) -> None:
    def last(manifests: list[dict[str, Any]]) -> str:
        environment = container(manifests, "inference-api")["env"]
        return [entry["value"] for entry in environment if entry["name"] == "DARKROOM_COMPILE"][-1]

    own = (
        "- {name: sdruntime, type: diffusers, modelFilename: a.safetensors, extraValues: {runtime: {inferenceApi: %s}}}"
    )
    assert last(chart.render(values_for(own % "{}"))) == "never"
    assert last(chart.render(values_for(own % "{extraEnv: {DARKROOM_COMPILE: auto}}"))) == "auto"
