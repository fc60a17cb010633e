"""The Grafana dashboard: every query can be read, and asks for what Darkroom tells, by labels that it tells it with."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from darkroom.agent.health import Health
from darkroom.agent.prometheus import PrometheusMetrics
from darkroom.api.metrics import GatewayMetrics
from darkroom.metrics.deliveries import Tried
from darkroom.metrics.exposition import exposition
from darkroom.metrics.prometheus_deliveries import PrometheusDeliveries
from darkroom.tasks.task import Status

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
# Grafana puts these in before it asks.
VARIABLES = {"$__rate_interval": "5m", "$runtime": "a|b"}


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def told() -> dict[str, set[str]]:
    """Every sample's name that a process of ours tells, with the names of its labels."""
    agent = PrometheusMetrics("r", Health())
    agent.began(1.0)
    agent.generated("pipeline", 1.0)
    agent.ended(Status.FAILED, "OutOfMemory")
    agent.given_back("LeaseLost")
    gateway = GatewayMetrics()
    gateway.answered("/prod/v1alpha2", "POST", 200, 0.1, None)
    registry = CollectorRegistry()
    PrometheusDeliveries(registry).tried(Tried.GONE, 0.1)
    found: dict[str, set[str]] = {}
    for text in (agent.text("")[0], gateway.text("")[0], exposition(registry, "")[0]):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


def test_the_file_is_what_its_script_writes() -> None:
    assert _script().text() == (ROOT / "docs" / "grafana-dashboard.json").read_text(), (
        "write it anew: python scripts/write_grafana.py"
    )


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_grafana", ROOT / "scripts" / "write_grafana.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_names_metrics_that_there_are(expression: str) -> None:
    names = set(re.findall(r"\b(?:darkroom|process)_[a-z_]+", expression))
    assert names
    assert names <= set(told())


def test_every_metric_is_shown() -> None:
    named = {name for expression in EXPRESSIONS for name in re.findall(r"\bdarkroom_[a-z_]+", expression)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told() if name.startswith("darkroom_")}
    assert families == {re.sub(r"_bucket$", "", name) for name in named}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_can_be_read_and_asks_by_labels_that_there_are(expression: str) -> None:
    names = told()
    for selector in _selectors(promql_parser.parse(filled(expression))):
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= names[selector.name], selector.name
    for group in re.findall(r"\bby \(([a-z_, ]+)\)", expression):
        labels = {label.strip() for label in group.split(",")}
        metrics = set(re.findall(r"\bdarkroom_[a-z_]+", expression))
        assert all(labels <= names[metric] for metric in metrics), expression


def _selectors(node: Any) -> Iterator[Any]:
    """The selectors within an expression, wherever they stand."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _selectors(node.lhs)
        yield from _selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _selectors(argument)
    elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr):
        yield from _selectors(node.expr)


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            kept = re.findall(r"\bby \(([a-z_, ]+)\)", target["expr"])
            labels = {label.strip() for group in kept for label in group.split(",")}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, target


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells


def test_grafana_s_own_model_takes_all_of_it() -> None:
    """Its published types read the dashboard and write the same: a key that Grafana does not know would be gone."""
    read = Dashboard.from_json(DASHBOARD)
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    assert lost(DASHBOARD, written) == []


def lost(asked: Any, got: Any, at: str = "") -> list[str]:
    """The places in `asked` that are not the same in `got`."""
    if isinstance(asked, dict) and isinstance(got, dict):
        return [place for key, value in asked.items() for place in lost(value, got.get(key), f"{at}.{key}")]
    if isinstance(asked, list) and isinstance(got, list) and len(asked) == len(got):
        return [place for number, value in enumerate(asked) for place in lost(value, got[number], f"{at}[{number}]")]
    return [] if asked == got else [f"{at}: {asked!r} became {got!r}"]
