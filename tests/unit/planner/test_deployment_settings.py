"""What is simulated for a config.yaml is what the chart and its values say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from darkroom.config.loader import parse_config
from darkroom.config.partition import partition_facts
from darkroom.errors import SettingsError
from darkroom.planner.simulation.deployment import DEFAULT_BUDGETS, DEFAULT_POLLING_SECONDS, seconds_of, settings_of
from darkroom.planner.simulation.settings import Agent, Behavior, Budget, Policy, Rules, Settings

CHART = Path(__file__).parents[3] / "charts" / "darkroom-runtime" / "values.yaml"


def settings(runtime: str) -> Settings:
    config = parse_config(f"modelsRuntime: [{{name: a, type: sdwebui, {runtime}}}]")
    return settings_of(config, config.models_runtime[0])


def test_a_runtime_that_says_nothing_has_the_charts_defaults() -> None:
    chart = yaml.safe_load(CHART.read_text())
    scaling, disruption = chart["runtime"]["scaling"], chart["karpenter"]["provisioner"]["disruption"]
    found = settings("")
    assert found.keda.queue_length == scaling["queueLength"]
    assert found.keda.activation == scaling["activationQueueLength"]
    assert found.keda.cooldown == scaling["cooldownPeriod"]
    assert found.keda.minimum == scaling["minReplicaCount"]
    assert found.keda.maximum == scaling["maxReplicaCount"]
    assert found.keda.polling == scaling["pollingInterval"] == DEFAULT_POLLING_SECONDS
    assert found.keda.count_in_flight == scaling["scaleOnInFlight"]
    assert disruption["budgets"] == DEFAULT_BUDGETS
    assert found.karpenter.budgets == (Budget(1.0),)
    assert found.karpenter.consolidate_after == seconds_of(disruption["consolidateAfter"])
    assert found.agent.grace == chart["runtime"]["queueAgent"]["taskTimeoutSeconds"]
    assert found.agent.poll == Agent().poll
    assert found.karpenter.limit == chart["karpenter"]["provisioner"]["resourceLimits"]["nvidia.com/gpu"]
    every = (Policy("Percent", 100, 15.0),)
    up = Rules(0.0, (Policy("Pods", scaling["maxReplicaCount"], 15.0),))
    assert found.hpa.behavior == Behavior(up, Rules(float(scaling["cooldownPeriod"]), every))
    assert partition_facts("us-east-1").default_gpu_instance_types == tuple(
        chart["karpenter"]["provisioner"]["instanceType"]
    )


def test_what_is_said_goes_over_it() -> None:
    found = settings(
        "extraValues: {runtime: {scaling: {queueLength: 4, cooldownPeriod: 300, scaleOnInFlight: false, "
        "extraHPAConfig: {scaleUp: {stabilizationWindowSeconds: 30}}}, queueAgent: {taskTimeoutSeconds: 90}}, "
        'karpenter: {provisioner: {disruption: {consolidateAfter: 1m30s, budgets: [{nodes: "2"}]}}}}'
    )
    assert (found.keda.queue_length, found.keda.cooldown, found.keda.count_in_flight) == (4, 300, False)
    assert found.hpa.behavior is not None
    assert found.hpa.behavior.up == Rules(30.0, (Policy("Pods", 20, 15.0),))
    assert found.hpa.behavior.down.window == 300
    assert found.karpenter.consolidate_after == 90.0
    assert found.karpenter.budgets == (Budget(None, 2),)
    assert found.agent.grace == 90
    limited = settings("extraValues: {karpenter: {provisioner: {resourceLimits: {nvidia.com/gpu: 3}}}}")
    assert limited.karpenter.limit == 3


def test_seconds_of_work_are_taken_for_the_queue_length() -> None:
    found = settings("workOff: {withinSeconds: 60, taskSeconds: 6, burst: 40}")
    assert (found.keda.queue_length, found.keda.maximum) == (10, 4)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10.0), ("1h30m", 5400.0), ("1m0.5s", 60.5), ("500ms", 0.5)])
def test_durations_as_kubernetes_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_nodes_that_always_stay() -> None:
    found = settings("extraValues: {karpenter: {provisioner: {disruption: {consolidateAfter: Never}}}}")
    assert found.karpenter.consolidate_after is None


def test_working_hours_are_the_fewest_pods_of_these_hours() -> None:
    hours = '{start: "0 8 * * 1-5", end: "0 18 * * 1-5", timezone: Etc/UTC, replicas: 2}'
    found = settings(f"extraValues: {{runtime: {{scaling: {{schedules: [{hours}]}}}}}}")
    assert len(found.schedule) == 168
    assert sum(found.schedule) == 2 * 5 * 10
    assert (found.schedule[7], found.schedule[8], found.schedule[17], found.schedule[18]) == (0, 2, 2, 0)
    assert set(found.schedule[5 * 24 :]) == {0}


def test_a_schedule_that_cannot_be_simulated_says_so() -> None:
    hours = '{start: "30 8 1 * *", end: "0 18 * * 1-5", timezone: Etc/UTC, replicas: 2}'
    with pytest.raises(SettingsError, match="cannot be simulated: only whole hours"):
        settings(f"extraValues: {{runtime: {{scaling: {{schedules: [{hours}]}}}}}}")
