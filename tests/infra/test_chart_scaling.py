"""How pods come and go: each default of the chart with the reason for it, as it was measured on real controllers."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.agent.agent import SECONDS_TO_GIVE_BACK
from darkroom.config.fit_rules import DEFAULT_TASK_TIMEOUT_SECONDS
from darkroom.settings import read_agent_settings
from tests.infra.chart import CHART, Chart, container, kinds, node_values_for, pool_values_for, values_for
from tests.infra.chart_matrix import IN_PLACE, SDWEBUI, VALUES


def behaviour(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    advanced = kinds(manifests)["ScaledObject"]["spec"]["advanced"]
    found: dict[str, Any] = advanced["horizontalPodAutoscalerConfig"]["behavior"]
    return found


def test_as_many_pods_as_are_wanted_are_asked_for_in_one_step(chart: Chart) -> None:
    """By its own policy the autoscaler goes 1, 4, 8, 16, a step every 15 s: the eighth pod was asked for at 24 s."""
    up = behaviour(chart.render(VALUES["sdwebui"]))["scaleUp"]
    most = kinds(chart.render(VALUES["sdwebui"]))["ScaledObject"]["spec"]["maxReplicaCount"]
    assert up == {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": most, "periodSeconds": 15}]}
    many = values_for(IN_PLACE % "scaling: {maxReplicaCount: 70}")
    assert behaviour(chart.render(many))["scaleUp"]["policies"][0]["value"] == 70


@pytest.mark.parametrize("cooldown", [10, 60, 300])
def test_what_was_wanted_before_is_forgotten_when_pods_get_cold(chart: Chart, cooldown: int) -> None:
    """It remembers 300 s by itself, although KEDA has gone to zero: 4 tasks after 8 got 8 pods and 8 GPU nodes."""
    manifests = chart.render(values_for(IN_PLACE % f"scaling: {{cooldownPeriod: {cooldown}}}"))
    down = behaviour(manifests)["scaleDown"]
    assert down["stabilizationWindowSeconds"] == cooldown
    assert kinds(manifests)["ScaledObject"]["spec"]["cooldownPeriod"] == cooldown
    assert down["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 15}]


def test_a_window_is_an_hour_at_most_as_kubernetes_has_it(chart: Chart) -> None:
    manifests = chart.render(values_for(IN_PLACE % "scaling: {cooldownPeriod: 7200}"))
    assert behaviour(manifests)["scaleDown"]["stabilizationWindowSeconds"] == 3600


def test_who_says_a_behaviour_changes_what_he_says_and_nothing_else(chart: Chart) -> None:
    own = "scaling: {extraHPAConfig: {scaleDown: {stabilizationWindowSeconds: 5}}}"
    found = behaviour(chart.render(values_for(IN_PLACE % own)))
    assert found["scaleDown"]["stabilizationWindowSeconds"] == 5
    assert found["scaleUp"] == behaviour(chart.render(VALUES["sdwebui"]))["scaleUp"]


def test_tasks_of_low_priority_are_counted_as_the_others_are(chart: Chart) -> None:
    """KEDA begins pods for either; the autoscaler takes the larger count, so low tasks alone are worked off too."""
    values = values_for(IN_PLACE % "scaling: {queueLength: 3}")
    (alone,) = kinds(chart.render(values))["ScaledObject"]["spec"]["triggers"]
    low = "https://sqs.us-west-2.amazonaws.com/123456789012/low"
    values["runtime"]["queueAgent"]["sqsLowQueueUrl"] = low
    manifests = chart.render(values)
    usual, second = kinds(manifests)["ScaledObject"]["spec"]["triggers"]
    assert usual == alone
    assert second == {**alone, "metadata": {**alone["metadata"], "queueURL": low}}
    settings = next(one["data"] for one in manifests if one["kind"] == "ConfigMap" and "SQS_QUEUE_URL" in one["data"])
    assert settings["DARKROOM_LOW_PRIORITY_QUEUE_URL"] == low


def test_working_hours_are_a_trigger_beside_the_queue(chart: Chart) -> None:
    hours = "scaling: {schedules: [{start: 0 8 * * 1-5, end: 0 18 * * 1-5, timezone: Europe/Berlin, replicas: 2}]}"
    found = kinds(chart.render(values_for(IN_PLACE % hours)))["ScaledObject"]["spec"]["triggers"]
    assert [trigger["type"] for trigger in found] == ["aws-sqs-queue", "cron"]
    assert found[1]["metadata"] == {
        "timezone": "Europe/Berlin",
        "start": "0 8 * * 1-5",
        "end": "0 18 * * 1-5",
        "desiredReplicas": "2",
    }


def graces(manifests: list[dict[str, Any]]) -> tuple[float, float, int, str]:
    """Seconds: of the task, of the agent, of the pod; and what the nodes have."""
    environment = next(m["data"] for m in manifests if m["metadata"]["name"] == "sdruntime-agent")
    settings = read_agent_settings(environment)
    found = kinds(manifests)
    pod = found["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    node = found["NodePool"]["spec"]["template"]["spec"]["terminationGracePeriod"]
    return settings.task_timeout_seconds, settings.grace_period_seconds, pod, node


@pytest.mark.parametrize(("name", "timeout"), [("sdwebui", DEFAULT_TASK_TIMEOUT_SECONDS), ("long tasks", 900)])
def test_a_pod_that_is_taken_away_finishes_its_task(chart: Chart, name: str, timeout: int) -> None:
    """With a grace of 100 s a task of 150 s was given back after 90 and done again; one key sets all of it."""
    task, agent, pod, node = graces(chart.render(VALUES[name]))
    assert task == timeout
    assert agent - SECONDS_TO_GIVE_BACK >= task  # the agent gives up so long before its grace ends
    assert pod > agent  # the runtime ends after the agent
    assert int(node.removesuffix("s")) > pod


def test_the_nodes_of_a_pool_last_as_long_as_the_longest_task_on_them(chart: Chart) -> None:
    long = "- {name: a, type: sdwebui, extraValues: {runtime: {queueAgent: {taskTimeoutSeconds: 900}}}}"
    for values in (
        node_values_for(long),
        pool_values_for("- {name: shared}", long.replace("}}}}", "}}}, nodePool: shared}")),
    ):
        nodes = kinds(chart.render(values))["NodePool"]["spec"]["template"]["spec"]
        assert nodes["terminationGracePeriod"] == "990s"


def test_nodes_that_would_cut_tasks_off_are_refused(chart: Chart) -> None:
    values = values_for(SDWEBUI)
    values["karpenter"]["provisioner"] = {"disruption": {"terminationGracePeriod": "5m"}}
    assert "5m, would cut tasks off: runtime.queueAgent.taskTimeoutSeconds is 300, so it must be at least 330s" in (
        chart.refusal(values)
    )
    values["karpenter"]["provisioner"] = {"disruption": {"terminationGracePeriod": "5m30s"}}
    assert graces(chart.render(values))[3] == "5m30s"


def test_a_container_that_is_restarted_is_not_waited_for_as_a_task_is(chart: Chart) -> None:
    """A probe without a grace of its own would wait for the pod's: more than five minutes for what does not answer."""
    manifests = chart.render(VALUES["sdwebui"])
    for name in ("inference-api", "queue-agent"):
        for probe in ("startupProbe", "livenessProbe"):
            assert container(manifests, name)[probe]["terminationGracePeriodSeconds"] <= 30, (name, probe)


def test_nobody_writes_how_many_pods_there_are_where_keda_counts_them(chart: Chart) -> None:
    """`helm template | kubectl apply` in the middle of work took every pod away."""
    for name, values in VALUES.items():
        found = kinds(chart.render(values)).get("Deployment")
        if found is not None:
            assert found["spec"].get("replicas") == (3 if name == "no scaling" else None), name
    # KEDA takes the one pod of a first installation at its first look, which follows at once, without waiting for more.
    spec = kinds(chart.render(VALUES["sdwebui"]))["ScaledObject"]["spec"]
    assert spec["initialCooldownPeriod"] == 0
    assert spec["pollingInterval"] == 2


def test_the_first_pod_is_asked_for_soon_and_its_agent_started_at_once(chart: Chart) -> None:
    """Of 8 tasks the last begins 45.5 s after they came, on average; with looks every 5 s at 47, and a probe that comes
    every 2 s finds a runtime that is ready half a second later. `python bench/scaling/simulate.py` has the figures."""
    manifests = chart.render(VALUES["sdwebui"])
    assert kinds(manifests)["ScaledObject"]["spec"]["pollingInterval"] == 2
    probe = container(manifests, "inference-api")["startupProbe"]
    assert probe["periodSeconds"] == 1
    assert probe["failureThreshold"] == 600, "as many seconds as a start may take"


def test_each_task_has_a_pod_where_nothing_else_is_told(chart: Chart) -> None:
    found = kinds(chart.render(values_for(SDWEBUI)))
    metadata = found["ScaledObject"]["spec"]["triggers"][0]["metadata"]
    assert metadata["queueLength"] == "3"
    assert metadata["scaleOnInFlight"] == "true"
    assert found["NodePool"]["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"


def test_the_timeout_of_a_task_is_said_once() -> None:
    assert f"taskTimeoutSeconds: {DEFAULT_TASK_TIMEOUT_SECONDS}\n" in (CHART / "values.yaml").read_text()


def test_seconds_of_work_in_place_of_tasks(chart: Chart) -> None:
    """8 pods for 8 tasks of 6 s pay 8 cold starts; with four tasks for each pod, 305 node-seconds in place of 880."""

    def scaling(work_off: str) -> tuple[str, int]:
        runtime = f"- {{name: sdruntime, type: sdwebui, workOff: {work_off}}}"
        spec = kinds(chart.render(values_for(runtime)))["ScaledObject"]["spec"]
        return spec["triggers"][0]["metadata"]["queueLength"], spec["maxReplicaCount"]

    assert scaling("{withinSeconds: 24, taskSeconds: 6}") == ("4", 20)
    assert scaling("{withinSeconds: 24, taskSeconds: 6, burst: 30}") == ("4", 8)
