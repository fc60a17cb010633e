"""A load test's figures and picture, from samples whose answers are known."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.cli.load_picture import load_picture
from darkroom.cli.load_report import report, tables
from darkroom.cli.load_run import Load, LoadTest, Progress, Sample, percentile
from darkroom.client import AsyncClient, text_to_image


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_so_large_a_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_the_report_counts_and_leaves_failures_out_of_the_times() -> None:
    progress = Progress(0.0, sent=5, accepted=4)
    progress.samples = [
        Sample(0.0, 0.1, 1.0, 0.2, 0.5),
        Sample(1.0, 0.1, 2.0, 0.3, 0.5),
        Sample(2.0, 0.1, 3.0, None, None),
        Sample(3.0, 0.1, 99.0, 50.0, 40.0, error="GenerationTimeout"),
        Sample(4.0, error="ApiFailure", reason="there is no runtime 'nope'"),
    ]
    figures = report(progress, 10.0)
    assert (figures["sent"], figures["accepted"], figures["completed"]) == (5, 4, 3)
    assert figures["failed"] == {"GenerationTimeout": 1, "ApiFailure": 1}
    assert figures["reasons"] == {"ApiFailure": "there is no runtime 'nope'"}
    assert figures["completed_per_second"] == 0.3
    assert figures["times_seconds"]["total"] == {"p50": 2.0, "p90": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert figures["times_seconds"]["waited"]["max"] == 0.3
    assert json.loads(json.dumps(figures)) == figures
    shown = list(tables(figures))
    assert len(shown) == 3
    assert "there is no runtime 'nope'" in list(shown[2].columns[2].cells)
    picture = ElementTree.fromstring(load_picture(progress.samples, figures))  # noqa: S314 - it is ours
    assert sum(1 for shape in picture.iter() if shape.tag.endswith("circle")) == 4


def test_nothing_sent_is_a_report_and_a_picture_too() -> None:
    figures = report(Progress(0.0), 0.0)
    assert figures["times_seconds"] == {}
    ElementTree.fromstring(load_picture([], figures))  # noqa: S314 - it is ours


class Door:
    """A front door where every task has ended at once, except that every third is refused."""

    def __init__(self) -> None:
        self.submitted = 0
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled: list[str] = []
        self.never_ends = False
        self.is_asked = asyncio.Event()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.cancelled.append(request.url.path.split("/")[-2])
            return httpx.Response(202, json=self._view(self.cancelled[-1], "running"))
        if request.method == "POST":
            self.submitted += 1
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            if self.submitted % 3 == 0:
                self.under_way -= 1
                return httpx.Response(400, json={"message": "no"})
            task_id = json.loads(request.content)["task"]["metadata"]["id"]
            return httpx.Response(200, json={"id_task": task_id, "output_location": "s3://b/o"})
        await asyncio.sleep(0.01)
        self.is_asked.set()
        if self.never_ends:
            return httpx.Response(200, json=self._view("t", "running"))
        self.under_way -= 1
        return httpx.Response(200, json=self._view("t", "completed"))

    def _view(self, task_id: str, status: str) -> dict[str, Any]:
        times = {"created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z"}
        started = {"started_at": "2027-01-15T08:00:02Z", "device_seconds": 1.5}
        return {"id": task_id, "status": status, "runtime": "r", "output_location": "", **times, **started}


async def run(door: Door, load: Load) -> Progress:
    loop = asyncio.get_running_loop()
    async with AsyncClient("http://door/prod", "k", transport=httpx.MockTransport(door.answer)) as client:
        return await LoadTest(client, load, lambda: text_to_image("a cat", runtime="r"), loop.time).run()


async def test_so_many_are_under_way_at_a_time() -> None:
    door = Door()
    progress = await run(door, Load(seconds=0.3, patience_seconds=5, concurrency=4))
    assert door.most_under_way <= 4
    assert progress.sent == len(progress.samples) == door.submitted
    done = [sample for sample in progress.samples if sample.error is None]
    assert done
    assert {(sample.waited, sample.on_device) for sample in done} == {(2.0, 1.5)}
    assert progress.failures["ApiFailure"] == progress.sent // 3


async def test_a_rate_is_kept_whether_or_not_tasks_end() -> None:
    door = Door()
    progress = await run(door, Load(seconds=0.5, patience_seconds=5, rate=40))
    assert progress.sent == 20
    sent_at = sorted(sample.sent_at for sample in progress.samples)
    assert sent_at[-1] >= 0.4


async def test_who_stops_a_test_has_the_rest_cancelled() -> None:
    door = Door()
    door.never_ends = True
    running = asyncio.create_task(run(door, Load(seconds=60, patience_seconds=60, concurrency=2)))
    async with asyncio.timeout(10):
        await door.is_asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(door.cancelled) >= 1
