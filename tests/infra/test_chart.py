"""The chart: what it renders, for every type and option, and that the API servers would take it."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.schemas import chart_schema, config_schema
from darkroom.infra.template import versions
from tests.infra.chart import CHART, Chart, kinds, values_for
from tests.infra.chart_matrix import COMFYUI, SDWEBUI, VALUES
from tests.infra.judges import Judges

HERE = Path(__file__).parent


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


_UNCOMMENTED = ("securityContext:", "resources:", "resourceLimits:", "budgets:", "readOnlyRootFilesystem:")


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing_to_lint(chart: Chart, name: str) -> None:
    outcome = chart.run("lint", "--strict", str(CHART), "--values", chart.values_file(VALUES[name]))
    assert outcome.returncode == 0, outcome.stdout
    assert "[WARNING]" not in outcome.stdout


def test_the_api_servers_would_take_every_manifest(chart: Chart, judges: Judges) -> None:
    renders, refused = chart.render_many(VALUES)
    assert refused == {}
    assert sum(map(len, renders.values())) > 100
    broken = chart.render(values_for(SDWEBUI))
    # Where the guide's chart had it: KEDA ignores it there without a word.
    kinds(broken)["ScaledObject"]["spec"]["scaleOnInFlight"] = True
    kinds(broken)["NodePool"]["spec"]["template"]["spec"]["expireAfter"] = "soon"
    problems = judges.problems({**renders, "broken on purpose": broken})
    assert {problem["kind"] for problem in problems if problem["name"] == "broken on purpose"} == {
        "keda.sh/v1alpha1 ScaledObject",
        "karpenter.sh/v1 NodePool",
    }, problems
    assert [problem for problem in problems if problem["name"] != "broken on purpose"] == []


def test_the_schemas_were_compared_with_the_versions_that_are_deployed() -> None:
    """The packages' schemas are a little older; who deploys other versions compares anew what the chart uses."""
    described = json.loads((HERE / "manifests" / "package.json").read_text())["description"]
    assert f"KEDA {versions.KEDA}" in described
    assert f"Karpenter {versions.KARPENTER}" in described


@pytest.mark.parametrize(("name", "runtime"), [("sdwebui", SDWEBUI), ("comfyui", COMFYUI)])
def test_the_guides_runtime_types_render_as_agreed(chart: Chart, name: str, runtime: str) -> None:
    file = HERE / "golden" / f"{name}.yaml"
    rendered = yaml.safe_dump_all(chart.render(values_for(runtime), release=name), sort_keys=True)
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), "see the difference; if it is meant: WRITE_GOLDEN=1 pytest ..."


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"runtime": {"scaling": {"queueLenght": 1}}}, "queueLenght"),
        ({"karpenter": {"nodeTemplate": {"amiFamily": "AL2"}}}, "amiFamily"),
        ({"fastStart": "magic"}, "fastStart"),
        ({"karpenter": {"provisioner": {"capacityType": {"onDemand": False, "spot": False}}}}, "one of spot"),
        ({"fastStart": "snapshot"}, "snapshotID must be set"),
        ({"runtime": {"scaling": {"minReplicaCount": 21}}}, "minReplicaCount, 21, is more than maxReplicaCount, 20"),
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
