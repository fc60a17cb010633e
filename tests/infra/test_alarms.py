"""Whom the deployment wakes, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.checks.findings import Verdict
from darkroom.infra.checks.preflight import check
from darkroom.settings import LOW_PRIORITY_BOUND_SECONDS
from tests.infra.test_template import of_type

RUNTIME = "modelsRuntime: [{name: a, type: comfyui}]\n"


def alarms(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The alarms by the beginnings of their names."""
    return {
        name.removeprefix("Observability")[:-8]: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_what_an_on_call_person_needs_to_know_has_an_alarm(template: dict[str, Any]) -> None:
    assert {
        "PodsPending",
        "KarpenterErrors",
        "KedaErrors",
        "AgentsWithoutRuntime",
        "IdleNodes",
        "FailedDeliveriesInput",
        "FailedDeliveriesOutput",
        "DeadLetterssdruntime",
        "QueueAgesdruntime",
    } <= set(alarms(template))
    assert all(alarm["AlarmActions"] for alarm in alarms(template).values())


def test_gpu_nodes_that_nobody_needs_are_told_by_nodes_beyond_the_components_and_no_task(
    template: dict[str, Any],
) -> None:
    alarm = alarms(template)["IdleNodes"]
    by_id = {metric["Id"]: metric for metric in alarm["Metrics"]}
    (expression,) = (metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric)
    assert expression == "IF(nodes > 3 AND FILL(came, 0) == 0 AND FILL(ended, 0) == 0, 1, 0)", "three component nodes"
    assert by_id["nodes"]["MetricStat"]["Metric"]["MetricName"] == "cluster_node_count"
    for id_, topic in (("came", "sdNotificationLambdaCfn"), ("ended", "sdNotificationOutputCfn")):
        assert by_id[id_]["MetricStat"]["Metric"]["MetricName"] == "NumberOfMessagesPublished"
        assert topic in json.dumps(by_id[id_])
    assert alarm["EvaluationPeriods"] * by_id["nodes"]["MetricStat"]["Period"] == 3600


def test_tasks_that_wait_are_another_alarm_than_nodes_that_nobody_needs(template: dict[str, Any]) -> None:
    """A runtime that never starts, while users go on sending tasks, wakes people once and by its name."""
    stuck = alarms(template)["Stucksdruntime"]
    (expression,) = (metric["Expression"] for metric in stuck["Metrics"] if "Expression" in metric)
    assert expression.startswith("IF(FILL(waiting, 0) + FILL(held, 0) > 0 AND FILL(done, 0) == 0 AND FILL(nodes")
    assert "FILL(came, 0) == 0" in json.dumps(alarms(template)["IdleNodes"]["Metrics"])
    # It comes first, so that somebody is on it before the other one sounds where nobody sends tasks any more.
    assert stuck["EvaluationPeriods"] < alarms(template)["IdleNodes"]["EvaluationPeriods"]


def test_tasks_of_low_priority_are_waited_for_longer_and_count_as_work(template: dict[str, Any]) -> None:
    """Else a runtime that does nothing but low tasks would seem stuck, and one that never begins them would not."""
    found = alarms(template)
    assert "LowQueueAgesdruntime" not in found
    later = found["LowQueueAgeanymodel"]["Threshold"] - found["QueueAgeanymodel"]["Threshold"]
    assert later == LOW_PRIORITY_BOUND_SECONDS
    stuck = found["Stuckanymodel"]
    (expression,) = (metric["Expression"] for metric in stuck["Metrics"] if "Expression" in metric)
    assert expression.startswith(
        "IF(FILL(waiting, 0) + FILL(held, 0) + FILL(waiting_low, 0) + FILL(held_low, 0) > 0 "
        "AND FILL(done, 0) + FILL(done_low, 0) == 0 AND FILL(nodes"
    )
    of_low = {metric["Id"] for metric in stuck["Metrics"] if "LowPriorityQueue" in json.dumps(metric)}
    assert of_low == {"waiting_low", "held_low", "done_low"}


def test_lines_of_logs_are_counted_in_the_cluster_s_own_group(template: dict[str, Any]) -> None:
    filters = {
        found["MetricTransformations"][0]["MetricName"]: found for found in of_type(template, "AWS::Logs::MetricFilter")
    }
    names = ("KarpenterErrors", "KedaErrors", "Agents-waiting", "Agents-ready")
    assert set(filters) == {f"sdoneksStack-{name}" for name in names}
    groups = {found["LogGroupName"] for found in filters.values()}
    assert groups == {"/aws/containerinsights/sdoneksStack/application"}
    assert 'action = "runtime.waiting"' in filters["sdoneksStack-Agents-waiting"]["FilterPattern"]


def test_one_agent_that_waits_is_enough_and_one_that_has_just_begun_is_not(template: dict[str, Any]) -> None:
    """An agent says `runtime.waiting` once; only one that says no `runtime.ready` after it is without a runtime."""
    alarm = alarms(template)["AgentsWithoutRuntime"]
    (expression,) = (metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric)
    assert expression == "FILL(waiting, 0) - FILL(ready, 0)"
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0, 2)


def test_the_add_on_reaches_every_node_and_its_manager_no_gpu_node(template: dict[str, Any]) -> None:
    (values,) = (
        json.loads(add_on["ConfigurationValues"])
        for add_on in of_type(template, "AWS::EKS::Addon")
        if add_on["AddonName"] == "amazon-cloudwatch-observability"
    )
    assert "tolerations" not in values, "the add-on's own is every taint; a list would leave pools' own taints out"
    assert values["manager"]["tolerations"] == []
    assert values["dcgmExporter"] == {"enabled": False}


@pytest.mark.parametrize(
    ("alarms", "is_told"),
    [
        ("", False),
        ("alarms: {email: somebody@example.com}", True),
        ("alarms: {topicArn: 'arn:aws:sns:us-east-1:123456789012:on-call'}", True),
    ],
)
def test_the_plan_says_when_nobody_would_be_told(alarms: str, is_told: bool) -> None:
    said = [finding for finding in check(None, parse_config(RUNTIME + alarms)) if finding.subject == "alarms"]
    assert [finding.verdict for finding in said] == ([] if is_told else [Verdict.LIMITED])
