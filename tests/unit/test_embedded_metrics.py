"""Lines of logs that CloudWatch makes metrics of: of the form that AWS specifies, few, and right."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from tests.embedded_format import check_form

from darkroom.agent.clock import Clock
from darkroom.agent.embedded_metrics import DEVICE_BUSY, METRICS, QUEUE_WAIT, EmbeddedMetrics
from darkroom.logs import JsonFormatter
from darkroom.metrics.embedded import Metric, documents
from darkroom.tasks.task import Status


def lines_of(metrics: EmbeddedMetrics, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What a tell writes, as a process writes it."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "darkroom"):
        metrics.tell()
    return [json.loads(JsonFormatter().format(record)) for record in caplog.records]


def test_more_values_than_a_line_takes_make_more_lines() -> None:
    waits = [float(number) for number in range(250)]
    found = documents({QUEUE_WAIT: waits, Metric("Ends"): [7]}, namespace="N", dimensions={"Runtime": "a"}, now=1.8e9)
    for document in found:
        check_form(document)
    assert [value for document in found for value in document["QueueWait"]] == waits
    assert [document.get("Ends") for document in found] == [7, None, None], "counted once"


def test_nothing_to_tell_is_no_line() -> None:
    assert documents({}, namespace="N", dimensions={}, now=1.8e9) == []
    assert documents({QUEUE_WAIT: []}, namespace="N", dimensions={}, now=1.8e9) == []


def test_a_line_has_what_happened_since_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    metrics = EmbeddedMetrics("Darkroom/stack", "sdruntime", Clock(now=lambda: 1_800_000_000.25))
    busy = 0.0
    metrics.watch(lambda: busy, lambda: 3)
    metrics.began(2.5)
    metrics.began(-0.2)  # the clocks of SQS and of this machine differ
    metrics.ended(Status.COMPLETED, None)
    metrics.ended(Status.FAILED, "OutOfMemory")
    metrics.ended(Status.COMPLETED, None)
    metrics.given_back("RuntimeSick")
    metrics.switched_model()
    busy = 45.25
    (line,) = lines_of(metrics, caplog)
    check_form(line)
    assert line["action"] == "agent.metrics"
    assert line["_aws"]["Timestamp"] == 1_800_000_000_250
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Darkroom/stack", [["Runtime"]])
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert {name: line[name] for name in ("Runtime", *names)} == {
        "Runtime": "sdruntime",
        "DeviceBusy": 45.25,
        "QueueWait": [2.5, 0.0],
        "Completed": 2,
        "Failed": 1,
        "GivenBack": 1,
        "ModelSwitches": 1,
    }
    busy = 50.25
    (line,) = lines_of(metrics, caplog)
    names = [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert {name: line[name] for name in names} == {"DeviceBusy": 5.0}, "an idle minute has one figure"


def test_every_name_is_one_of_those_that_are_paid_for(caplog: pytest.LogCaptureFixture) -> None:
    metrics = EmbeddedMetrics("N", "r", Clock())
    metrics.began(1)
    metrics.generated("text-to-image", 1.0)
    metrics.given_back("LeaseLost")
    metrics.switched_model()
    for status in Status:
        metrics.ended(status, None)
    (line,) = lines_of(metrics, caplog)
    told = {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert told == {metric.name for metric in METRICS}
    assert len(METRICS) == 8


async def test_a_line_a_minute_and_what_is_left_at_the_end() -> None:
    """A pod may go after seconds: what it did is told all the same."""
    slept: list[float] = []
    minutes = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await minutes.acquire()

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("darkroom")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        metrics = EmbeddedMetrics("N", "r", Clock(sleep=sleep))
        async with metrics.telling():
            async with asyncio.timeout(10):
                while not slept:  # noqa: ASYNC110 - the other coroutine's first step
                    await asyncio.sleep(0)
            metrics.ended(Status.COMPLETED, None)
            minutes.release()
            async with asyncio.timeout(10):
                while len(slept) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            metrics.ended(Status.EXPIRED, None)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    first, last = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["Completed"], last["Expired"]) == (1, 1)
    assert "Completed" not in last
    assert slept == [60.0, 60.0]
    assert DEVICE_BUSY.name in first
