"""A task that has not begun by its deadline is never begun, wherever it waits; and whose task it was is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from darkroom.agent.clock import Clock
from darkroom.aws.connection import Aws
from darkroom.settings import AwsSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Status, Task
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from tests.integration.conftest import Plane, make_plane
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


async def test_a_task_that_waits_for_another_try_expires_at_its_deadline(
    aws: Aws, aws_settings: AwsSettings, runtime: FakeSdWebui
) -> None:
    plane = await make_plane(aws, aws_settings, maximum_receives=12)
    runtime.faults.append(SdWebuiFault.ERROR)
    deadline = time.time() + 4
    await submit(plane, task_for(plane, deadline=deadline))
    for _ in range(6):  # so that the next pause is of a minute or more
        await plane.queue.receive(wait_seconds=5, visibility_seconds=0)
    async with working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        seconds = time.time() - deadline
    assert (end.status, runtime.requests[0]["prompt"]) == (Status.EXPIRED, "A dog")
    assert sum(body["prompt"] == "A dog" for body in runtime.requests) == 1
    assert end.error
    assert end.error.message.startswith("tried 7 times, and no other try began by its deadline, 20")
    assert 0 < seconds < 20


async def test_a_task_that_waits_for_the_device_expires_when_its_turn_comes(plane: Plane, runtime: FakeSdWebui) -> None:
    passed = 0.0
    clock = Clock(now=lambda: time.time() + passed)
    async with working(settings_for(plane, runtime.url), clock=clock) as agent:
        device = agent._device
        device.hold()
        await submit(plane, task_for(plane, deadline=time.time() + 600))
        await until(lambda: len(device.waiting) == 1)
        passed = 601.0
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
