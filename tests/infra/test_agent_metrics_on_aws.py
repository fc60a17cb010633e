"""The agents' figures on AWS: from their log lines into CloudWatch's metrics, and onto the dashboard; few of them."""

from __future__ import annotations

import fnmatch
import json
import logging
import re
from typing import Any

import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.embedded_metrics import ENDS, METRICS, MODEL_SWITCHES, EmbeddedMetrics
from darkroom.infra.template.add_on_values import METRICS_FILE, observability_values
from darkroom.logs import JsonFormatter
from darkroom.metrics.deliveries import METRICS as DELIVERIES
from darkroom.tasks.task import Status
from tests.embedded_format import check_form
from tests.infra.chart import Chart, container, values_for
from tests.infra.chart_matrix import SDWEBUI
from tests.infra.test_template import of_type

METRIC_MONTH = 0.30


def sections() -> list[tuple[str, dict[str, str]]]:
    """Our file of Fluent Bit's: each section's name and its keys."""
    values = observability_values(container_insights=True, agent_metrics=True)
    text = values["containerLogs"]["fluentBit"]["config"]["extraFiles"][METRICS_FILE]
    found: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), {}))
        elif line.strip():
            key, value = line.split(None, 1)
            found[-1][1][key] = value
    return found


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines that an agent writes: its figures, and others."""
    metrics = EmbeddedMetrics("Darkroom/sdoneksStack", "sdruntime", Clock())
    metrics.ended(Status.COMPLETED, None)
    with caplog.at_level(logging.INFO, "darkroom"):
        logging.getLogger("darkroom").info("something else")
        metrics.tell()
    return [JsonFormatter().format(record) for record in caplog.records]


def test_fluent_bit_hands_on_the_line_itself_and_no_other(caplog: pytest.LogCaptureFixture, chart: Chart) -> None:
    """CloudWatch finds metrics only where `_aws` stands at the root: the line must not be wrapped."""
    (_, tail), (_, grep), (_, output) = sections()
    assert [name for name, _ in sections()] == ["INPUT", "FILTER", "OUTPUT"]
    assert tail["Tag"] == grep["Match"] == output["Match"]
    # kubelet calls a container's log POD_NAMESPACE_CONTAINER-ID.log.
    agent = container(chart.render(values_for(SDWEBUI)), "queue-agent")["name"]
    names = [f"sdruntime-5d9_sd_{name}-0f3a.log" for name in (agent, "inference-api")]
    assert [fnmatch.fnmatch(f"/var/log/containers/{name}", tail["Path"]) for name in names] == [True, False]
    key, pattern = grep["Regex"].split(None, 1)
    records = [{"log": line, "stream": "stderr"} for line in logged(caplog)]
    kept = [record[key] for record in records if re.search(pattern, record[key])]
    (sent,) = [record[output["log_key"]] for record in records if record[key] in kept]
    check_form(json.loads(sent))
    assert output["log_format"] == "json/emf"


def test_the_add_on_gets_the_file_only_where_figures_are_wanted(template: dict[str, Any]) -> None:
    (values,) = (
        json.loads(add_on["ConfigurationValues"])
        for add_on in of_type(template, "AWS::EKS::Addon")
        if add_on["AddonName"] == "amazon-cloudwatch-observability"
    )
    assert METRICS_FILE in values["containerLogs"]["fluentBit"]["config"]["extraFiles"]
    silent = observability_values(container_insights=True, agent_metrics=False)
    assert silent["containerLogs"] == {"enabled": True}


def shown(template: dict[str, Any]) -> set[tuple[str, str]]:
    """The names and the runtimes of the agents' figures on the dashboard."""
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard")
    body = dashboard["DashboardBody"]
    text = (
        body
        if isinstance(body, str)
        else "".join(part if isinstance(part, str) else "x" for part in body["Fn::Join"][1])
    )
    metrics = [entry for widget in json.loads(text)["widgets"] for entry in widget["properties"].get("metrics", [])]
    ours = [entry for entry in metrics if str(entry[0]).startswith("Darkroom/")]
    assert all(entry[0] == "Darkroom/sdoneksStack" for entry in ours)
    # Without dimensions, an entry ends with what the graph is to look like.
    return {(entry[1], entry[3] if entry[2] == "Runtime" else "") for entry in ours}


def test_the_dashboard_shows_every_figure_and_none_that_there_is_not(template: dict[str, Any]) -> None:
    found = shown(template)
    runtimes = {runtime for _, runtime in found if runtime}
    assert "sdruntime" in runtimes
    assert {name for name, runtime in found if not runtime} == {metric.name for metric in DELIVERIES}
    plain = {metric.name for metric in METRICS if metric is not MODEL_SWITCHES}
    for runtime in runtimes:
        names = {name for name, of in found if of == runtime}
        assert names in (plain, plain | {MODEL_SWITCHES.name}), runtime


def test_the_sender_of_webhooks_writes_its_figures_into_the_same_namespace(template: dict[str, Any]) -> None:
    functions = [
        function["Environment"]["Variables"]
        for function in of_type(template, "AWS::Lambda::Function")
        if "DARKROOM_WEBHOOK_QUEUE_URL" in function.get("Environment", {}).get("Variables", {})
        and "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL" in function["Environment"]["Variables"]
    ]
    (variables,) = functions
    assert variables["DARKROOM_METRICS_NAMESPACE"] == "Darkroom/sdoneksStack"


def test_two_runtimes_cost_less_than_five_dollars_a_month() -> None:
    """CloudWatch bills a name with its dimensions for the hours in which it has values: at worst, all of the month.

    Tasks expire only where the operator says so, and the model is switched only where it may be.
    """
    always = len(METRICS) - len({ENDS[Status.EXPIRED], MODEL_SWITCHES})
    assert always * METRIC_MONTH == pytest.approx(1.80)
    assert (2 * always + 1 + len(DELIVERIES)) * METRIC_MONTH <= 5.0, "one of the two switches models; two of webhooks"


def test_the_namespace_of_the_lines_is_the_dashboard_s(chart: Chart, template: dict[str, Any]) -> None:
    data = next(m["data"] for m in chart.render(values_for(SDWEBUI)) if m["metadata"]["name"] == "sdruntime-agent")
    assert data["DARKROOM_METRICS_NAMESPACE"] == "Darkroom/sdoneksStack"
    assert shown(template)
    off = chart.render(values_for(SDWEBUI, "cluster: {agentMetrics: false}"))
    data = next(m["data"] for m in off if m["metadata"]["name"] == "sdruntime-agent")
    assert "DARKROOM_METRICS_NAMESPACE" not in data
