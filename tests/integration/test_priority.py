"""Tasks of low priority, with a real agent and the real emulator: they wait for the others, and not for ever."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from darkroom.aws.connection import Aws
from darkroom.aws.dead_letters import held_letters
from darkroom.aws.queue import Queue
from darkroom.settings import AwsSettings
from darkroom.tasks.message import encode_message, identity_attributes, priority_attribute
from darkroom.tasks.task import Priority, Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import is_empty, notified, settings_for, task_for, until_empty, working


@pytest.fixture
async def plane(aws: Aws, aws_settings: AwsSettings) -> Plane:
    return await make_plane(aws, aws_settings, low_priority=True)


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def publish(plane: Plane, task_id: str, priority: Priority = Priority.NORMAL, **changes: Any) -> None:
    """As the front door does."""
    task = task_for(plane, task_id, priority=priority, **changes)
    attributes = {**identity_attributes(task, "shop"), **priority_attribute(priority), "submission_id": task_id}
    await plane.aws.topic(plane.provisioned.input_topic_arn).publish(encode_message(task), attributes)


def settings(plane: Plane, runtime: FakeSdWebui, bound: float = 900.0, **changes: Any) -> Any:
    low = plane.provisioned.queues[0].low_url
    return settings_for(plane, runtime.url, low_queue_url=low, low_bound_seconds=bound, **changes)


async def waiting(queue: Queue, count: int) -> None:
    async with asyncio.timeout(20):
        while (await queue.read_attributes()).visible != count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_low_tasks_are_done_after_the_normal_ones_that_came_later(plane: Plane, runtime: FakeSdWebui) -> None:
    for number in range(5):
        await publish(plane, f"low{number}", Priority.LOW)
    for number in range(5):
        await publish(plane, f"normal{number}")
    await waiting(plane.low_queue, 5)
    await waiting(plane.queue, 5)
    async with working(settings(plane, runtime)):
        ended = [notification.id for notification, _ in await notified(plane, 10)]
    assert {task_id[:3] for task_id in ended[:5]} == {"nor"}
    assert {task_id[:3] for task_id in ended[5:]} == {"low"}
    assert len(set(ended)) == 10
    for queue in (plane.queue, plane.low_queue, plane.dead_letters):
        assert await is_empty(queue)
    record = await plane.aws.task_table(plane.provisioned.table).get_submission("low0")
    assert record is not None
    assert (record.status, record.priority) == (Status.COMPLETED, Priority.LOW)


async def test_low_tasks_end_within_the_bound_while_normal_ones_keep_coming(plane: Plane, runtime: FakeSdWebui) -> None:
    bound, ends = 3.0, dict[str, float]()
    runtime.latency_seconds = 0.1
    for number in range(5):
        await publish(plane, f"low{number}", Priority.LOW)
    sent_at = time.monotonic()
    published = 0

    async def keep_coming() -> None:
        """There are always some more than the agent can do."""
        nonlocal published
        while True:
            if (await plane.queue.read_attributes()).visible < 15:
                await publish(plane, f"normal{published}")
                published += 1
            else:
                await asyncio.sleep(0.1)  # as long as the agent takes for one

    coming = asyncio.create_task(keep_coming())
    try:
        await asyncio.sleep(0.5)
        async with working(settings(plane, runtime, bound)):
            while sum(task_id.startswith("low") for task_id in ends) < 5:
                for notification, _ in await notified(plane):
                    ends[notification.id] = time.monotonic() - sent_at
                assert time.monotonic() - sent_at < 60, ends
            coming.cancel()
            normal_meanwhile = sum(task_id.startswith("normal") for task_id in ends)
            while len(ends) < published + 5:
                for notification, _ in await notified(plane):
                    ends[notification.id] = 0.0
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    assert normal_meanwhile >= 5, "the low ones took no more than every second turn"
    assert all(ends[f"low{number}"] >= bound for number in range(5)), "normal ones were there to be done"
    for queue in (plane.queue, plane.low_queue, plane.dead_letters):
        assert await is_empty(queue)


async def test_a_low_task_is_held_and_deleted_where_it_came_from(plane: Plane, runtime: FakeSdWebui) -> None:
    """It takes longer than its message is hidden: only if the low queue is told of it, nobody gets it a second time."""
    for queue in (plane.queue, plane.low_queue):
        hidden = {"QueueUrl": queue.url, "Attributes": {"VisibilityTimeout": "2"}}
        await plane.aws.client("sqs").set_queue_attributes(**hidden)
    runtime.latency_seconds = 5.0
    await publish(plane, "low", Priority.LOW)
    async with working(settings(plane, runtime)):
        ((notification, _),) = await notified(plane)
        await until_empty(plane.low_queue)
    assert notification.status is Status.COMPLETED
    assert len(runtime.requests) == 1


async def test_an_agent_that_stops_gives_a_low_task_back_to_its_own_queue(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 30.0
    await publish(plane, "low", Priority.LOW)
    async with working(settings(plane, runtime), grace_seconds=1.0):
        async with asyncio.timeout(20):
            while (await plane.low_queue.read_attributes()).in_flight == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await waiting(plane.low_queue, 1)
    assert await is_empty(plane.queue)


async def test_a_low_task_that_is_redriven_goes_back_among_the_low_ones(plane: Plane, runtime: FakeSdWebui) -> None:
    await publish(plane, "low", Priority.LOW, content={})
    await publish(plane, "normal", content={})
    for queue in (plane.low_queue, plane.queue):
        (message,) = await queue.receive(wait_seconds=5)
        await plane.dead_letters.send(message.body, message.attributes)
        await queue.delete(message.receipt_handle)
    async with held_letters(plane.dead_letters, queue=plane.queue, low_queue=plane.low_queue, now=time.time) as held:
        letters = []
        while batch := await held.receive():
            letters.extend(batch)
            for letter in batch:
                await held.redrive(letter, force=True)
    assert len(letters) == 2
    for queue, task_id in ((plane.low_queue, "low"), (plane.queue, "normal")):
        (message,) = await queue.receive(wait_seconds=5)
        assert message.attributes["task_id"] == task_id
    assert await is_empty(plane.dead_letters)


@pytest.mark.parametrize(
    ("attributes", "is_low"),
    [({}, False), ({"priority": "normal"}, False), ({"priority": "low"}, True), ({"priority": "high"}, False)],
)
@pytest.mark.parametrize("by", ["runtime", "sd_model_checkpoint"])
async def test_every_message_reaches_one_queue_and_no_other(
    plane: Plane, attributes: dict[str, str], is_low: bool, by: str
) -> None:
    name = {"runtime": plane.runtime, "sd_model_checkpoint": plane.model}[by]
    text = uuid.uuid4().hex
    await plane.aws.topic(plane.provisioned.input_topic_arn).publish(text, {by: name, **attributes})
    here, there = (plane.low_queue, plane.queue) if is_low else (plane.queue, plane.low_queue)
    (message,) = await here.receive(wait_seconds=5)
    assert text in message.body
    assert await there.receive(wait_seconds=0) == []


async def test_a_low_queue_that_is_gone_keeps_no_normal_task_waiting(
    plane: Plane, runtime: FakeSdWebui, caplog: pytest.LogCaptureFixture
) -> None:
    await plane.aws.client("sqs").delete_queue(QueueUrl=plane.low_queue.url)
    with caplog.at_level(logging.INFO, logger="darkroom"):
        async with working(settings(plane, runtime, bound=0.0)):
            for number in range(3):
                await publish(plane, f"normal{number}")
            ended = [notification.status for notification, _ in await notified(plane, 3)]
    assert ended == [Status.COMPLETED] * 3
    said = [vars(record).get("darkroom_fields", {}).get("action") for record in caplog.records]
    assert said.count("queue.low_receive_failed") == 1, "once, and not at each look"
    assert "queue.receive_failed" not in said, "it pauses an agent, and tells that AWS is away"
