"""What callers have used is what was done: each task is counted once, with its end, whatever is delivered or dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.usage import day_of
from darkroom.tasks.message import encode_message
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.tasks.usage import DayUsage, Usage
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    DEADLINE_SECONDS,
    SOON,
    notified,
    settings_for,
    task_for,
    until,
    until_empty,
    working,
)


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def publish(plane: Plane, task_id: str, caller: str, **changes: Any) -> None:
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    attributes = {"runtime": plane.runtime, "submission_id": f"s-{task_id}", "caller": caller}
    text = encode_message(task_for(plane, task_id, **changes))
    await topic.publish(text, {name: value for name, value in attributes.items() if value})


async def used(plane: Plane, *callers: str) -> list[DayUsage]:
    today = time.time()
    table = plane.aws.usage(plane.provisioned.table)
    return await table.read(callers, first_day=day_of(today - 86400), last_day=day_of(today))


async def used_by(plane: Plane, caller: str) -> Usage:
    """Together, for midnight may come; device seconds are measured, and compared elsewhere."""
    total = Usage()
    for day in await used(plane, caller):
        total = total.plus(day.usage)
    return msgspec.structs.replace(total, device_seconds=0.0)


async def record_when_ended(plane: Plane, submission_id: str) -> TaskRecord:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            record = await plane.aws.task_table(plane.provisioned.table).get_submission(submission_id)
            if record is not None and record.status.is_terminal:
                return record
            await asyncio.sleep(0.05)


async def test_each_end_is_counted_for_its_caller(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 0.2
    async with working(settings_for(plane, runtime.url)):
        await publish(plane, "t1", "shop", content={"prompt": "A dog", "batch_size": 2})
        await publish(plane, "t2", "shop", content={"prompt": "A dog", "sampler_name": "none such"})
        await publish(plane, "t3", "shop", deadline=time.time() - 1)
        await publish(plane, "t4", "lab")
        await publish(plane, "t5", "")
        await notified(plane, 5)
        records = [await record_when_ended(plane, f"s-t{number}") for number in range(1, 6)]
    assert await used_by(plane, "shop") == Usage(completed=1, failed=1, expired=1, pictures=2)
    assert await used_by(plane, "lab") == await used_by(plane, "") == Usage(completed=1, pictures=1)
    days = await used(plane, "shop", "lab", "")
    assert {(day.caller, day.runtime) for day in days} == {(name, plane.runtime) for name in ("shop", "lab", "")}
    seconds = sum(day.usage.device_seconds for day in days)
    assert seconds == pytest.approx(sum(record.device_seconds or 0.0 for record in records), abs=0.01)
    assert 0.6 <= seconds < 10


async def test_a_task_that_is_delivered_again_is_counted_once(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url)):
        await publish(plane, "t1", "shop")
        await notified(plane)
        await publish(plane, "t1", "shop")
        await publish(plane, "t1", "shop")
        await notified(plane, 2)
        await until_empty(plane.queue)
    assert await used_by(plane, "shop") == Usage(completed=1, pictures=1)


@pytest.mark.parametrize("fault", [AwsFault.LOST_ANSWER, AwsFault.LATE_ERROR, AwsFault.LOST_CALL, AwsFault.CONFLICT])
async def test_an_end_whose_answer_is_lost_is_counted_once(plane: Plane, runtime: FakeSdWebui, fault: AwsFault) -> None:
    def lost(request: AwsRequest) -> AwsFault | None:
        return fault if request.operation == "TransactWriteItems" and request.number == 0 else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=lost) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            await publish(plane, "t1", "shop")
            await notified(plane)
            await until_empty(plane.queue)
    assert proxy.suffered[fault] == 1
    assert await used_by(plane, "shop") == Usage(completed=1, pictures=1)


async def test_an_agent_that_dies_before_it_has_counted_leaves_that_to_the_next_one(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    away = True

    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if away and request.operation == "TransactWriteItems" else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with open_agent(settings_for(plane, runtime.url, aws=behind), Health(), SOON) as agent:
            run = asyncio.create_task(agent.run())
            await publish(plane, "t1", "shop")
            await notified(plane)
            await until(lambda: proxy.suffered[AwsFault.DENIED] > 0)
            await agent.stop(0)
            await run
        assert await used_by(plane, "shop") == Usage()
        away = False
        async with working(settings_for(plane, runtime.url, aws=behind)):
            await notified(plane)
            await until_empty(plane.queue)
    assert len(runtime.requests) == 1
    assert (await record_when_ended(plane, "s-t1")).status is Status.COMPLETED
    assert await used_by(plane, "shop") == Usage(completed=1, pictures=1)


async def test_many_ends_at_once_are_all_counted(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    now = time.time()
    ends = [
        TaskRecord(
            id=f"t{number}",
            submission_id=f"s{number}",
            status=Status.COMPLETED,
            runtime="r",
            caller="shop",
            created_at=now,
            updated_at=now,
            image_url=["s3://b/1", "s3://b/2"],
            device_seconds=0.1,
        )
        for number in range(100)
    ]
    # Each twice, as when two agents end one task.
    ended = await asyncio.gather(*(table.end(record) for record in ends * 2))
    assert sum(ended) == 100
    (day,) = await plane.aws.usage(plane.provisioned.table).read(["shop"], first_day=day_of(now), last_day=day_of(now))
    assert day.usage == Usage(completed=100, pictures=200, device_seconds=pytest.approx(10.0))


async def test_a_record_tells_the_device_time_that_is_counted(plane: Plane) -> None:
    """A task that ends without one more try, since its agent was lost, has had the device for nothing."""
    table, now = plane.aws.task_table(plane.provisioned.table), time.time()
    waits = TaskRecord(id="t", submission_id="s", status=Status.QUEUED, runtime="r", caller="shop", created_at=now)
    assert await table.advance(msgspec.structs.replace(waits, updated_at=now, device_seconds=3.0))
    assert await table.end(msgspec.structs.replace(waits, updated_at=now, status=Status.FAILED))
    record = await table.get_submission("s")
    assert record is not None
    days = await used(plane, "shop")
    assert (record.device_seconds, sum(day.usage.device_seconds for day in days)) == (None, 0.0)


async def test_the_days_of_a_span_are_those_that_are_asked_for(plane: Plane) -> None:
    table, noon = plane.aws.task_table(plane.provisioned.table), 1_764_072_000.0  # 2025-11-25
    for number in range(4):
        at = noon + number * 86400
        record = TaskRecord(id="t", submission_id=f"s{number}", status=Status.FAILED, runtime="r", caller="shop")
        assert await table.end(msgspec.structs.replace(record, created_at=at, updated_at=at))
    found = await plane.aws.usage(plane.provisioned.table).read(
        ["lab", "shop"], first_day="2025-11-26", last_day="2025-11-27"
    )
    assert [(day.caller, day.day, day.usage.failed) for day in found] == [
        ("shop", "2025-11-26", 1),
        ("shop", "2025-11-27", 1),
    ]
