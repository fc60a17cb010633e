"""What whoever asks after a task is told of it, and when: `?wait=`, progress, attempts, through both doors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.contract.doors import DOORS, NOW, Doors, opened

from darkroom.tasks.progress import Progress
from darkroom.tasks.task import Status
from darkroom.testing.runtime_ports import MemoryProgress

PROGRESS = MemoryProgress()


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Doors]:
    PROGRESS.progress.clear()
    async with opened(request.param, progress=PROGRESS) as opened_door:
        yield opened_door


async def test_what_the_agent_has_written_down_is_told(door: Doors) -> None:
    door.keep(
        "t",
        status=Status.QUEUED,
        attempts=2,
        started_at=NOW + 1,
        model="v1-5.safetensors",
        agent="node-7",
        device_seconds=1.5,
        waits_because="tried twice: out of memory",
        next_try_at=NOW + 60,
        deadline=NOW + 600,
    )
    body = (await door.get("/v1alpha2/tasks/t")).body
    told = {name: body.get(name) for name in ("attempts", "started_at", "model", "device_seconds", "agent", "ended_at")}
    assert told == {
        "attempts": 2,
        "started_at": "2027-01-15T08:00:01Z",
        "model": "v1-5.safetensors",
        "device_seconds": 1.5,
        "agent": None,
        "ended_at": None,
    }
    assert (body["waits_because"], body["next_try_at"]) == ("tried twice: out of memory", "2027-01-15T08:01:00Z")
    assert body["deadline"] == "2027-01-15T08:10:00Z"
    assert (await door.get("/v1alpha2/tasks/t?caller=shop", "boss")).body["agent"] == "node-7"


async def test_a_task_that_has_ended_waits_for_nothing_and_has_no_progress(door: Doors) -> None:
    record = door.keep("t", status=Status.FAILED, waits_because="tried twice", next_try_at=NOW + 9, ended_at=NOW + 5)
    PROGRESS.progress[record.submission_id] = Progress(value=0.9)
    body = (await door.get("/v1alpha2/tasks/t")).body
    assert body["ended_at"] == "2027-01-15T08:00:05Z"
    assert not body.keys() & {"waits_because", "next_try_at", "progress"}


async def test_how_far_a_task_is_is_told_while_it_runs(door: Doors) -> None:
    record = door.keep("t", status=Status.RUNNING)
    assert "progress" not in (await door.get("/v1alpha2/tasks/t")).body
    PROGRESS.progress[record.submission_id] = Progress(value=0.4, step=8, steps=20)
    said = {"value": 0.4, "step": 8, "steps": 20}
    assert (await door.get("/v1alpha2/tasks/t")).body["progress"] == said
    assert (await door.get("/v1alpha2/tasks")).body["tasks"][0]["progress"] == said
    door.keep("t", status=Status.QUEUED)
    assert "progress" not in (await door.get("/v1alpha2/tasks/t")).body


async def test_who_waits_is_told_when_the_status_changes(door: Doors) -> None:
    record = door.keep("t")
    completed = {"status": Status.COMPLETED, "updated_at": NOW + 3, "image_url": ["s3://outputbucket/a.png"]}
    change: dict[str, Any] = {"record": msgspec.structs.replace(record, **completed)}
    door.after(3, lambda: door.records.records.update({("t", "shop"): change["record"]}))
    began = time.monotonic()
    reply = await door.get("/v1alpha2/tasks/t?wait=20&links=true")
    assert (reply.status, reply.body["status"]) == (200, "completed")
    assert len(reply.body["links"]["image_url"]) == 1
    assert time.monotonic() - began < 10


async def test_who_waits_in_vain_is_told_how_things_are(door: Doors) -> None:
    door.keep("t")
    reply = await door.get("/v1alpha2/tasks/t?wait=0.3")
    assert (reply.status, reply.body["status"]) == (200, "queued")


async def test_for_what_has_ended_and_what_is_not_there_nobody_waits(door: Doors) -> None:
    door.keep("t", status=Status.COMPLETED)
    assert (await door.get("/v1alpha2/tasks/t?wait=20")).status == 200
    assert (await door.get("/v1alpha2/tasks/none?wait=20")).status == 404
    assert door.records.looks == 0


@pytest.mark.parametrize("wait", ["-1", "21", "20.5", "ten", "", "1e1", "٣", "9" * 1000])
async def test_a_wait_that_cannot_be_meant_is_refused(door: Doors, wait: str) -> None:
    door.keep("t")
    reply = await door.get(f"/v1alpha2/tasks/t?wait={wait}")
    assert (reply.status, reply.body["errors"][0]["path"]) == (400, "wait")


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("tasks/t1?Wait=20", "links, from, wait, caller"),
        ("tasks/t1?status=failed", "links, from, wait, caller"),
        ("runtimes?status=failed", "workflows"),
        ("events?status=failed", "caller"),
        ("tasks/t1/events?wait=20", "caller"),
    ],
)
async def test_a_parameter_that_would_do_nothing_is_refused(door: Doors, path: str, has: str) -> None:
    door.keep("t1")
    reply = await door.get(f"/v1alpha2/{path}")
    assert reply.status == 400
    (fault,) = reply.body["errors"]
    assert fault["path"] in path
    assert fault["reason"].endswith(f"; there are: {has}")


async def test_at_the_gateway_a_hundred_who_wait_ask_the_table_no_more_often_than_one() -> None:
    async with opened("gateway") as door:
        for number in range(50):
            door.keep(f"t{number}")
        path = "/v1alpha2/tasks/t{}?wait=1"
        await asyncio.gather(*(door.get(path.format(number % 50)) for number in range(100)))
        assert 1 <= door.records.looks <= 10
