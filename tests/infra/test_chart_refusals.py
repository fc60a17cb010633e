"""config.yaml, the chart and the API servers agree: whatever the first takes, the others take too.

The judges are Helm itself, and the published schemas of Kubernetes, KEDA and Karpenter (tests/infra/manifests).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.chart_values import ChartValues
from darkroom.config.fit_rules import (
    DEFAULT_MOST_PODS,
    DEFAULT_RESOURCES,
    DEFAULT_SECURITY,
    OWN_ENVIRONMENT,
    POD_GRACE_BEYOND_TASK_SECONDS,
)
from darkroom.config.instance_rules import DEFAULT_INSTANCE_TYPES
from darkroom.config.loader import parse_config
from darkroom.config.volume_rules import DEFAULT_VOLUMES
from darkroom.errors import SettingsError
from tests.infra.chart import (
    CHART,
    Chart,
    container,
    kinds,
    manifests_in,
    merge,
    node_values_for,
    pod_values_for,
    problems_of,
    values_for,
)
from tests.infra.chart_matrix import IN_PLACE, VALUES
from tests.infra.junk import ITEMS, config_text, field_at, leaves, listed_in, values_in
from tests.refused_values import REFUSED


def test_every_list_of_mappings_has_an_item_here() -> None:
    lists = {".".join(path) for path in leaves(ChartValues) if listed_in(field_at(path)) is not None}
    assert lists == set(ITEMS)


def test_whatever_config_yaml_takes_the_chart_and_the_api_servers_take(chart: Chart, tmp_path: Path) -> None:
    places = list(leaves(ChartValues))
    assert len(places) > 100
    accepted: dict[str, dict[str, Any]] = {}
    refused = 0
    for path, junk in values_in(ChartValues):
        text = config_text(path, junk)
        try:
            parse_config(f"modelsRuntime:\n{text}")
        except SettingsError:
            refused += 1
            continue
        accepted[f"{'.'.join(path)}={junk!r}"] = values_for(text)
    taken: dict[str, list[dict[str, Any]]] = {}
    not_rendered: dict[str, str] = {}
    names = list(accepted)
    for first in range(0, len(names), 40):
        some = {name: accepted[name] for name in names[first : first + 40]}
        try:
            taken |= chart.render_many(some)
        except (AssertionError, yaml.YAMLError):
            not_rendered |= refusals_of(chart, some)
    assert not_rendered == {}
    assert refused > 1000
    assert len(taken) > 200
    assert min(map(len, taken.values())) > 5
    assert problems_of(taken, tmp_path) == []


def refusals_of(chart: Chart, values: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Which of these cannot be rendered, and why."""
    found = {}
    for name, one in values.items():
        try:
            chart.render(one)
        except (AssertionError, yaml.YAMLError) as error:
            found[name] = str(error)
    return found or dict.fromkeys(values, "can be rendered alone, and not with the others")


def test_many_at_once_are_what_each_alone_is(chart: Chart) -> None:
    for name, together in chart.render_many(VALUES).items():
        alone = chart.render(VALUES[name])
        assert sorted(map(without_the_charts_name, together)) == sorted(map(without_the_charts_name, alone))


def without_the_charts_name(manifest: dict[str, Any]) -> str:
    text = re.sub(r'"(r\d+|darkroom-runtime)(-0\.1\.0)?"', '"chart"', json.dumps(manifest))
    return re.sub(r'"darkroom/config": "\w+"', "", text)


def test_names_that_look_like_something_else_stay_names(chart: Chart, tmp_path: Path) -> None:
    """YAML would make a number of some of them."""
    rendered = {}
    for name in ("123", "true", "1e3", "null", "0x1f"):
        text = f"- {{name: '{name}', namespace: '{name}', type: sdwebui}}"
        for values in (values_for(text), node_values_for(text), pod_values_for(text)):
            rendered[f"{name} {len(rendered)}"] = chart.render(values, name, namespace=name)
    assert len(rendered) == 15
    assert problems_of(rendered, tmp_path) == []


def test_what_the_schemas_see_is_refused_before(chart: Chart, tmp_path: Path) -> None:
    """The other direction: which of the refused values the schemas see themselves, when nothing looks before."""
    rendered: dict[str, list[dict[str, Any]]] = {}
    unseen = {}
    for number, wrong in enumerate(REFUSED):
        values: Any = wrong.parsed()
        for key in reversed(wrong.key.split(".")):
            values = {key: values}
        outcome = chart.run(
            "template", "sdruntime", str(CHART), "--skip-schema-validation", "--values",
            chart.values_file(merge(VALUES["sdwebui"], values)),
        )  # fmt: skip
        if outcome.returncode == 0:
            rendered[str(number)] = manifests_in(outcome.stdout)
        else:
            unseen[number] = outcome.stderr
    seen = {int(problem["name"]) for problem in problems_of(rendered, tmp_path)}
    expected = {number for number, wrong in enumerate(REFUSED) if wrong.seen}
    assert expected <= seen | set(unseen), [REFUSED[number] for number in expected - seen - set(unseen)]
    assert len(seen) >= 15


# Each refusal of the templates, and a config.yaml that would run into it; None: only the deployment says the value.
FAILURES = {
    "capacityType: one of": "karpenter: {provisioner: {capacityType: {onDemand: false, spot: false}}}",
    "is more than maxReplicaCount": "runtime: {scaling: {minReplicaCount: 30}}",
    "would cut tasks off": "karpenter: {provisioner: {disruption: {terminationGracePeriod: 1m}}}",
    "runtime.inferenceApi.image.repository must be set": "runtime: {}",
    "karpenter.nodeTemplate.iamRole must be set": None,
    "runtime.queueAgent.sqsQueueUrl must be set": None,
    "runtime.queueAgent.snsTopicArn must be set": None,
    "runtime.queueAgent.s3Bucket must be set": None,
    "runtime.persistence.s3.modelBucket must be set": None,
    # `darkroom deploy` finds or builds one.
    "karpenter.nodeTemplate.dataVolume.snapshotID must be set": None,
}


def test_every_refusal_of_the_chart_has_its_twin() -> None:
    source = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    texts = re.findall(r'(?:fail|required) (?:\(printf )?"([^"]+)', source)
    assert len(texts) == len(FAILURES)
    for text in texts:
        (entry,) = (entry for part, entry in FAILURES.items() if part in text)
        if entry is not None:
            kind = "painter, taskTypes: [text-to-image]" if entry == "runtime: {}" else "sdwebui"
            with pytest.raises(SettingsError, match=r"line 1: modelsRuntime\[0\]"):
                parse_config(f"modelsRuntime: [{{name: a, type: {kind}, extraValues: {{{entry}}}}}]")


def test_the_defaults_that_the_rules_go_by_are_the_charts() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text())
    assert tuple(chart["karpenter"]["provisioner"]["instanceType"]) == DEFAULT_INSTANCE_TYPES
    assert chart["runtime"]["scaling"]["maxReplicaCount"] == DEFAULT_MOST_PODS
    for name, volume in DEFAULT_VOLUMES.items():
        there = chart["karpenter"]["nodeTemplate"][name]
        assert {key: there[key] for key in volume} == volume
    for name, context in DEFAULT_SECURITY.items():
        there = chart["runtime"][name]["securityContext"]
        assert {key: there.get(key) for key in ("allowPrivilegeEscalation", "runAsNonRoot", "runAsUser")} == {
            key: context.get(key) for key in ("allowPrivilegeEscalation", "runAsNonRoot", "runAsUser")
        }
    for name, resources in DEFAULT_RESOURCES.items():
        assert chart["runtime"][name]["resources"] == resources


def test_the_variables_that_the_chart_sets_are_those_that_nobody_else_may(chart: Chart) -> None:
    found: dict[str, set[str]] = {"inferenceApi": set(), "queueAgent": set()}
    for values in VALUES.values():
        manifests = chart.render(merge(values, {"runtime": {"inferenceApi": {"extraEnv": []}}}))
        if "Deployment" not in kinds(manifests):
            continue
        found["inferenceApi"] |= {entry["name"] for entry in container(manifests, "inference-api")["env"]}
        for manifest in manifests:
            if manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"].endswith("-agent"):
                found["queueAgent"] |= set(manifest["data"])
    found["inferenceApi"] -= {"DARKROOM_COMPILE"}  # which the user may change
    assert found["inferenceApi"] == set(OWN_ENVIRONMENT["inferenceApi"])
    assert found["queueAgent"] <= set(OWN_ENVIRONMENT["queueAgent"])


def test_no_variable_stands_twice(chart: Chart) -> None:
    """Server-side apply, as Helm does it, refuses a list with two of a name."""
    own = IN_PLACE.replace("type: sdwebui", "type: diffusers") % "inferenceApi: {extraEnv: {DARKROOM_COMPILE: auto}}"
    for values in [*VALUES.values(), values_for(own)]:
        manifests = chart.render(values)
        if "Deployment" in kinds(manifests):
            names = [entry["name"] for entry in container(manifests, "inference-api")["env"]]
            assert len(names) == len(set(names))


def test_the_rules_grace_is_the_pods(chart: Chart) -> None:
    pod = kinds(chart.render(VALUES["sdwebui"]))["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 300 + POD_GRACE_BEYOND_TASK_SECONDS


def test_the_judges_look_at_every_field_that_the_chart_renders(tmp_path: Path, chart: Chart) -> None:
    """Each of them in turn holds what no field may, and each kind one that it has not."""
    broken: dict[str, list[dict[str, Any]]] = {}
    seen: set[str] = set()
    for name in ("guide's extraValues", "fallback", "pool", "pool from a snapshot", "diffusers"):
        values = merge(VALUES[name], {"runtime": {"createServiceAccount": True, "serviceAccountName": "mine"}})
        for manifest in chart.render(values):
            for place in [(), *fields_of(manifest)]:
                label = f"{manifest['kind']} {'.'.join(map(str, place))}"
                if place in (("apiVersion",), ("kind",)) or label in seen:
                    continue
                seen.add(label)
                broken[label] = [with_nonsense(manifest, place)]
    assert len({label.partition(" ")[0] for label in seen}) == 11
    assert len(broken) > 300
    found = {problem["name"] for problem in problems_of(broken, tmp_path)}
    assert sorted(set(broken) - found) == []


def fields_of(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all that is neither a mapping nor a list."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields_of(part, (*place, key))
    else:
        yield place


def with_nonsense(manifest: dict[str, Any], place: tuple[str | int, ...]) -> dict[str, Any]:
    """The same manifest with a mapping at this place, which is a key too many where the place is the whole."""
    changed: Any = copy.deepcopy(manifest)
    if not place:
        return {**changed, "nonsense": {"no": "field"}}
    section = changed
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = {"no": "field"}
    assert isinstance(changed, dict)
    return changed


def test_the_judges_see_something(tmp_path: Path, chart: Chart) -> None:
    broken = chart.render(VALUES["sdwebui"])
    kinds(broken)["NodePool"]["spec"]["template"]["spec"]["expireAfter"] = "soon"
    assert json.dumps(problems_of({"broken": broken}, tmp_path))
    assert [problem["kind"] for problem in problems_of({"broken": broken}, tmp_path)] == ["karpenter.sh/v1 NodePool"]
