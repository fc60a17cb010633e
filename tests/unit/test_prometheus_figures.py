"""What the agent counts: under the field's names, with labels that cannot grow."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from darkroom.agent.health import Health
from darkroom.agent.metrics import SeveralMetrics, reason
from darkroom.agent.prometheus import PrometheusMetrics
from darkroom.tasks.task import Status, TaskKind


def told(metrics: PrometheusMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels; `runtime` is on all of them."""
    body, content_type = metrics.text("text/plain")
    assert content_type.startswith("text/plain")
    samples = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if not sample.name.startswith("process_"):
                labels = dict(sample.labels)
                assert labels.pop("runtime") == "sdruntime", sample
                samples[sample.name, tuple(sorted(labels.items()))] = sample.value
    return samples


def test_what_happened_is_answered() -> None:
    health = Health()
    metrics = PrometheusMetrics("sdruntime", health)
    metrics.watch(lambda: 12.5, lambda: 3)
    metrics.began(4.0)
    metrics.began(-0.5)
    metrics.generated(TaskKind.TEXT_TO_IMAGE.value, 3.5)
    metrics.switched_model()
    metrics.ended(Status.COMPLETED, None)
    metrics.ended(Status.FAILED, "OutOfMemory")
    metrics.given_back("RuntimeSick")
    found = told(metrics)
    assert found["darkroom_agent_queue_wait_seconds_count", ()] == 2
    assert found["darkroom_agent_queue_wait_seconds_sum", ()] == 4.0, "no wait is negative"
    assert found["darkroom_agent_generation_seconds_sum", (("kind", "text-to-image"),)] == 3.5
    assert found["darkroom_agent_model_switches_total", ()] == 1
    assert found["darkroom_agent_tasks_total", (("reason", ""), ("status", "completed"))] == 1
    assert found["darkroom_agent_tasks_total", (("reason", "OutOfMemory"), ("status", "failed"))] == 1
    assert found["darkroom_agent_given_back_total", (("reason", "RuntimeSick"),)] == 1
    assert found["darkroom_agent_device_busy_seconds_total", ()] == 12.5
    assert found["darkroom_agent_tasks_held", ()] == 3
    assert (found["darkroom_agent_ready", ()], found["darkroom_agent_live", ()]) == (0, 1)
    health.runtime_is_ready()
    assert told(metrics)["darkroom_agent_ready", ()] == 1


def test_a_reason_is_a_word_of_ours_or_other() -> None:
    """An end is read from the bucket, where anybody who may write there may have put anything."""
    metrics = PrometheusMetrics("sdruntime", Health())
    for number in range(1000):
        metrics.ended(Status.FAILED, f"prompt number {number}")
        metrics.given_back("x" * 5000)
    reasons = {dict(labels).get("reason") for _, labels in told(metrics)}
    assert reasons == {None, "other"}
    assert reason("LinkRefused") == "LinkRefused"
    assert reason("Cancelled") == "Cancelled"


def test_names_are_those_that_prometheus_asks_for() -> None:
    metrics = PrometheusMetrics("sdruntime", Health())
    for line in metrics.text("")[0].decode().splitlines():
        if line.startswith("# TYPE darkroom_"):
            _, _, name, kind = line.split()
            if name.endswith("_created"):  # the library's own: when a count began
                continue
            assert re.fullmatch(r"darkroom_agent_[a-z_]+", name)
            assert (kind == "counter") == name.endswith("_total"), line
            assert not re.search(r"milli|micro|minutes|percent", name), "base units"
            assert kind != "histogram" or name.endswith("_seconds")


def test_openmetrics_is_spoken_to_who_asks_for_it() -> None:
    body, content_type = PrometheusMetrics("r", Health()).text("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_several_places_hear_the_same() -> None:
    places = [PrometheusMetrics("sdruntime", Health()) for _ in range(2)]
    several = SeveralMetrics(places)
    several.watch(lambda: 1.0, lambda: 2)
    several.began(1.0)
    several.generated("pipeline", 1.0)
    several.switched_model()
    several.ended(Status.CANCELLED, "Cancelled")
    several.given_back("LeaseLost")
    one, other = ({key: value for key, value in told(place).items() if "created" not in key[0]} for place in places)
    assert one == other
    assert one["darkroom_agent_tasks_total", (("reason", "Cancelled"), ("status", "cancelled"))] == 1
