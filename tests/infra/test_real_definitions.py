"""config.yaml against the very definitions of NodePool, EC2NodeClass and ScaledObject: every rule in its reach.

No package that this project may depend on has those files, so they are not here. Whoever has them says where:

    DARKROOM_TEST_DEFINITIONS=folder pytest tests/infra/test_real_definitions.py

with the files of Karpenter's pkg/apis/crds and KEDA's config/crd/bases in it, and common-expression-language installed.
"""

from __future__ import annotations

import copy
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.chart_values import ChartValues
from darkroom.config.loader import parse_config
from darkroom.errors import SettingsError
from tests.infra.chart import CHART, Chart, merge, values_for
from tests.infra.chart_matrix import VALUES
from tests.infra.custom_resources import Definitions, Judged, Place, Rule
from tests.infra.junk import config_text, values_in
from tests.refused_values import REFUSED

FOLDER = os.environ.get("DARKROOM_TEST_DEFINITIONS", "")

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="DARKROOM_TEST_DEFINITIONS names no folder"),
    pytest.mark.skipif(importlib.util.find_spec("cel") is None, reason="common-expression-language is not installed"),
]
# Of the chart's values, these come to be in one of the three.
SECTIONS = (("karpenter",), ("runtime", "scaling"))


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    found = Definitions(Path(FOLDER))
    assert {kind for _, kind in found.schemas} >= {"NodePool", "EC2NodeClass", "ScaledObject"}
    return found


def test_all_that_the_chart_renders_is_taken(chart: Chart, definitions: Definitions) -> None:
    for name, values in VALUES.items():
        for manifest in chart.render(values):
            broken = [str(judged.rule) for judged in definitions.judged(manifest) if not judged.is_kept]
            assert broken == [], name


def test_every_rule_in_reach_is_kept_or_refused_before(chart: Chart, definitions: Definitions) -> None:
    plain = {
        (judged.rule, repr(judged.value))
        for manifest in chart.render(VALUES["sdwebui"])
        for judged in definitions.judged(manifest)
    }
    in_reach: set[Rule] = set()
    seen_broken: set[Rule] = set()
    taken_and_broken: list[str] = []
    corpus: list[tuple[Place, Any]] = [
        (path, value) for path, value in values_in(ChartValues) if any(path[: len(s)] == s for s in SECTIONS)
    ]
    corpus += [(tuple(wrong.key.split(".")), wrong.parsed()) for wrong in REFUSED if wrong.is_for(SECTIONS)]
    for path, value in corpus:
        try:
            text = config_text(path, value)
            parse_config(f"modelsRuntime:\n{text}")
            is_taken, values = True, values_for(text)
        except SettingsError:
            is_taken, values = False, merge(copy.deepcopy(VALUES["sdwebui"]), nested(path, value))
        own = {repr(part) for part in parts_of(value)}
        for judged in judged_of(chart, definitions, values):
            if repr(judged.value) in own and (judged.rule, repr(judged.value)) not in plain:
                in_reach.add(judged.rule)
            if not judged.is_kept:
                seen_broken.add(judged.rule)
                if is_taken:
                    taken_and_broken.append(f"{'.'.join(path)}={value!r}: {judged.rule}")
    assert taken_and_broken == []
    assert len(in_reach) > 60
    assert sorted(str(rule) for rule in in_reach - seen_broken if not can_not_be_broken(rule)) == []


def can_not_be_broken(rule: Rule) -> bool:
    """Of what stands in no text of YAML (a number of 64 bits in Helm's), or what the chart itself refuses before."""
    return rule.says.startswith(("type ", "format ", "known keys", "required "))


def parts_of(value: Any) -> Iterator[Any]:
    """The value, and whatever is within it."""
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from parts_of(part)


def nested(path: Place, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def judged_of(chart: Chart, definitions: Definitions, values: dict[str, Any]) -> list[Judged]:
    """What the definitions say of the chart with values that nobody has looked at before; nothing if it fails."""
    file = chart.values_file(values)
    outcome = chart.run("template", "sdruntime", str(CHART), "--skip-schema-validation", "--values", file)
    if outcome.returncode != 0:
        return []
    try:
        manifests = list(yaml.safe_load_all(outcome.stdout))
    except yaml.YAMLError:
        return []
    return [judged for manifest in manifests if manifest for judged in definitions.judged(manifest)]
