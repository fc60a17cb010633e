"""config.yaml, the chart and the API servers agree: whatever the first takes, the others take too.

The judges are Helm itself, and the published schemas of Kubernetes, KEDA and Karpenter (tests/infra/manifests).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
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
    merge,
    node_values_for,
    pod_values_for,
    values_for,
)
from tests.infra.chart_matrix import IN_PLACE, VALUES
from tests.infra.judges import Judges
from tests.infra.junk import ITEMS, config_text, field_at, leaves, listed_in, values_in
from tests.refused_values import REFUSED


def test_every_list_of_mappings_has_an_item_here() -> None:
    lists = {".".join(path) for path in leaves(ChartValues) if listed_in(field_at(path)) is not None}
    assert lists == set(ITEMS)


def test_whatever_config_yaml_takes_the_chart_and_the_api_servers_take(chart: Chart, judges: Judges) -> None:
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
    taken, not_rendered = chart.render_many(accepted)
    assert not_rendered == {}
    assert refused > 1000
    assert len(taken) > 200
    assert min(map(len, taken.values())) > 5
    assert judges.problems(taken) == []


def test_many_at_once_are_what_each_alone_is(chart: Chart) -> None:
    rendered, refused = chart.render_many({**VALUES, "refused": CUT_OFF})
    assert list(refused) == ["refused"]
    assert "would cut tasks off" in refused["refused"]
    assert list(rendered) == list(VALUES)
    for name, together in rendered.items():
        alone = chart.render(VALUES[name])
        assert sorted(map(without_the_charts_name, together)) == sorted(map(without_the_charts_name, alone))


CUT_OFF = merge(VALUES["sdwebui"], {"karpenter": {"provisioner": {"disruption": {"terminationGracePeriod": "5m"}}}})


def without_the_charts_name(manifest: dict[str, Any]) -> str:
    text = re.sub(r'"(r\d+|darkroom-runtime)(-0\.1\.0)?"', '"chart"', json.dumps(manifest))
    return re.sub(r'"darkroom/config": "\w+"', "", text)


def test_names_that_look_like_something_else_stay_names(chart: Chart, judges: Judges) -> None:
    """YAML would make a number of some of them."""
    rendered = {}
    for name in ("123", "true", "1e3", "null", "0x1f"):
        text = f"- {{name: '{name}', namespace: '{name}', type: sdwebui}}"
        for values in (values_for(text), node_values_for(text), pod_values_for(text)):
            rendered[f"{name} {len(rendered)}"] = chart.render(values, name, namespace=name)
    assert len(rendered) == 15
    assert judges.problems(rendered) == []


def test_what_the_schemas_see_is_refused_before(chart: Chart, judges: Judges) -> None:
    """The other direction: which of the refused values the schemas see themselves, when nothing looks before."""
    values = {}
    for number, wrong in enumerate(REFUSED):
        said: Any = wrong.parsed()
        for key in reversed(wrong.key.split(".")):
            said = {key: said}
        values[str(number)] = merge(VALUES["sdwebui"], said)
    rendered, refused = chart.render_many(values, "--skip-schema-validation")
    seen = {int(problem["name"]) for problem in judges.problems(rendered)}
    expected = {number for number, wrong in enumerate(REFUSED) if wrong.seen}
    not_seen = expected - seen - set(map(int, refused))
    assert not_seen == set(), [REFUSED[number] for number in not_seen]
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
    bare = {name: merge(values, {"runtime": {"inferenceApi": {"extraEnv": []}}}) for name, values in VALUES.items()}
    rendered, refused = chart.render_many(bare)
    assert refused == {}
    for manifests in rendered.values():
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
    rendered, refused = chart.render_many({**VALUES, "own": values_for(own)})
    assert refused == {}
    for manifests in rendered.values():
        if "Deployment" in kinds(manifests):
            names = [entry["name"] for entry in container(manifests, "inference-api")["env"]]
            assert len(names) == len(set(names))


def test_the_rules_grace_is_the_pods(chart: Chart) -> None:
    pod = kinds(chart.render(VALUES["sdwebui"]))["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 300 + POD_GRACE_BEYOND_TASK_SECONDS


def test_the_judges_look_at_every_field_that_the_chart_renders(chart: Chart, judges: Judges) -> None:
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
    found = {problem["name"] for problem in judges.problems(broken)}
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


def test_the_judges_see_something(chart: Chart, judges: Judges) -> None:
    broken = chart.render(VALUES["sdwebui"])
    kinds(broken)["NodePool"]["spec"]["template"]["spec"]["expireAfter"] = "soon"
    assert json.dumps(judges.problems({"broken": broken}))
    assert [problem["kind"] for problem in judges.problems({"broken": broken})] == ["karpenter.sh/v1 NodePool"]
