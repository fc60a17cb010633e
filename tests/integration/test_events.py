"""Server-sent events of a real gateway over the emulator's table."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from darkroom.tasks.progress import Progress, ProgressReport
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

from .conftest import KEY, Plane, RunningGateway, running_gateway
from .test_front_door import sample_for

HEADERS = {"x-api-key": KEY}


async def events_of(reply: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for line in reply.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
        elif not line and event:
            yield {**event, "data": json.loads(event["data"])}
            event = {}


async def submitted(plane: Plane, http: httpx.AsyncClient, gateway: RunningGateway) -> TaskRecord:
    assert (await http.post(f"{gateway.endpoint}/v1alpha2", json=sample_for(plane))).status_code == 200
    listed = await plane.queue.receive(wait_seconds=10)
    record = await plane.aws.task_table(plane.provisioned.table).get_submission(
        json.loads(listed[0].body)["MessageAttributes"]["submission_id"]["Value"]
    )
    assert record is not None
    return record


async def test_a_task_is_followed_from_its_submission_to_its_end(plane: Plane) -> None:
    table, progress = plane.aws.task_table(plane.provisioned.table), plane.aws.progress(plane.provisioned.table)
    async with (
        running_gateway(plane, DARKROOM_EVENTS="true") as gateway,
        httpx.AsyncClient(headers=HEADERS, timeout=20) as http,
        asyncio.timeout(40),
    ):
        record = await submitted(plane, http, gateway)
        async with http.stream("GET", f"{gateway.endpoint}/v1alpha2/tasks/test-t2i/events") as reply:
            assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
            assert reply.headers["content-type"].startswith("text/event-stream")
            events = events_of(reply)
            assert (await anext(events))["data"]["status"] == "queued"
            running = msgspec.structs.replace(record, status=Status.RUNNING, updated_at=time.time())
            await table.advance(running)
            assert (await anext(events))["data"]["status"] == "running"
            await progress.write(
                ProgressReport(
                    submission_id=record.submission_id,
                    task_id=record.id,
                    caller=record.caller,
                    progress=Progress(value=0.5, step=8, steps=16),
                    updated_at=time.time(),
                )
            )
            event = await anext(events)
            assert (event["event"], event["data"]["progress"]) == ("progress", {"value": 0.5, "step": 8, "steps": 16})
            assert (await http.put(f"{gateway.endpoint}/v1alpha2/tasks/test-t2i/cancel")).status_code == 202
            assert (await anext(events))["data"]["cancel_requested"] is True
            await table.advance(msgspec.structs.replace(running, status=Status.CANCELLED, updated_at=time.time()))
            assert (await anext(events))["data"]["status"] == "cancelled"
            assert [event async for event in events] == []


async def test_who_was_cut_off_goes_on_where_he_was(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    async with (
        running_gateway(plane, DARKROOM_EVENTS="true") as gateway,
        httpx.AsyncClient(headers=HEADERS, timeout=20) as http,
        asyncio.timeout(40),
    ):
        async with http.stream("GET", f"{gateway.endpoint}/v1alpha2/events") as reply:
            record = await submitted(plane, http, gateway)
            last = (await anext(events_of(reply)))["id"]
        await table.advance(msgspec.structs.replace(record, status=Status.COMPLETED, updated_at=time.time()))
        async with http.stream("GET", f"{gateway.endpoint}/v1alpha2/events", headers={"Last-Event-ID": last}) as reply:
            assert (await anext(events_of(reply)))["data"]["status"] == "completed"
        # An open stream does not keep the gateway from ending.
        async with http.stream("GET", f"{gateway.endpoint}/v1alpha2/events") as reply:
            began = time.monotonic()
            gateway.process.terminate()
            assert {event["data"]["id"] async for event in events_of(reply)} <= {"test-t2i"}
            await gateway.process.wait()
            assert time.monotonic() - began < 8


async def test_a_gateway_that_cannot_tell_of_events_names_what_it_can(plane: Plane, gateway: RunningGateway) -> None:
    async with httpx.AsyncClient(headers=HEADERS, timeout=20) as http:
        for path in ("events", "tasks/x/events"):
            reply = await http.get(f"{gateway.endpoint}/v1alpha2/{path}")
            assert (reply.status_code, "?wait=" in reply.json()["message"]) == (404, True)
