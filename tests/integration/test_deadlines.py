"""A task that has not begun by its deadline is never begun, wherever it waits; and whose task it was is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Status, Task
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, submit, task_for, until, until_empty, working


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def test_a_task_that_waits_in_the_queue_expires_unstarted(plane: Plane, runtime: FakeSdWebui) -> None:
    await submit(plane, task_for(plane, deadline=time.time() - 1))
    async with working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, runtime.requests) == (Status.EXPIRED, [])
    assert end.error
    assert end.error.message.startswith("did not begin by its deadline, 20")
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.attempts, record.started_at) == (Status.EXPIRED, 0, None)
    assert record.deadline is not None


async def test_a_task_that_waits_for_another_try_expires_at_its_deadline(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.faults.append(SdWebuiFault.ERROR)
    deadline = time.time() + 4
    await submit(plane, task_for(plane, deadline=deadline))
    for _ in range(3):  # so that the next pause is of eight seconds or more
        await plane.queue.receive(wait_seconds=5, visibility_seconds=0)
    async with working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        seconds = time.time() - deadline
    assert (end.status, runtime.requests[0]["prompt"]) == (Status.EXPIRED, "A dog")
    assert sum(body["prompt"] == "A dog" for body in runtime.requests) == 1
    assert end.error
    assert end.error.message.startswith("tried 4 times, and no other try began by its deadline, 20")
    assert 0 < seconds < 3.5


async def test_a_task_that_waits_for_the_device_expires_when_its_turn_comes(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url)) as agent:
        device = agent._device
        device.hold()
        deadline = time.time() + 2
        await submit(plane, task_for(plane, deadline=deadline))
        await until(lambda: len(device.waiting) == 1)
        assert time.time() < deadline
        await until(lambda: time.time() > deadline)
        device.release()
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, runtime.requests) == (Status.EXPIRED, [])
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.attempts) == (Status.EXPIRED, 0)


@pytest.mark.parametrize("caller", ["shop", ""])
async def test_a_notification_says_in_its_attributes_whose_task_it_is(
    plane: Plane, runtime: FakeSdWebui, caller: str
) -> None:
    async def publish(task: Task, **attributes: str) -> None:
        topic = plane.aws.topic(plane.provisioned.input_topic_arn)
        await topic.publish(encode_message(task), {"runtime": plane.runtime, **attributes})

    async with working(settings_for(plane, runtime.url, notify_when_running=True)):
        await publish(task_for(plane), **({"caller": caller} if caller else {}))
        told = await notified(plane, 2)
    assert [message.attributes.get("caller", "") for _, message in told] == [caller, caller]
    assert all("shop" not in message.body for _, message in told)
