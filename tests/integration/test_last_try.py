"""What is only interrupted on its last try is not reported as a failure: outages of AWS, and the agent's own end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from darkroom.agent.health import Health
from darkroom.agent.process import open_agent
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.notification import notification_attributes
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import is_empty, notified, settings_for, submit, task_for, until, until_empty, working

TRIES = 5  # how often a task is tried; the next receive is its last


async def use_up_tries(plane: Plane) -> None:
    for _ in range(TRIES - 1):
        await plane.queue.receive(visibility_seconds=0)


async def test_a_task_that_is_interrupted_on_its_last_try_is_done_by_the_next_agent(plane: Plane) -> None:
    submission = await submit(plane, task_for(plane))
    await use_up_tries(plane)
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        runtime.latency_seconds = 60.0
        async with open_agent(settings_for(plane, runtime.url), Health()) as agent:
            run = asyncio.create_task(agent.run())
            await until(lambda: len(runtime.requests) == 1)
            await agent.stop(0)
            await run
        runtime.latency_seconds = 0.0
        async with working(settings_for(plane, runtime.url)):
            ((end, message),) = await notified(plane)
            await until_empty(plane.queue)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 2)
    assert message.attributes["notification_id"] == notification_attributes(end, submission)["notification_id"]
    assert await is_empty(plane.dead_letters)


@pytest.mark.parametrize("attributes", [{}, {"submission_id": "s1"}], ids=["without an id", "with an id"])
async def test_a_payload_that_s3_does_not_hand_out_on_the_last_try_is_read_when_it_does(
    plane: Plane, attributes: dict[str, str]
) -> None:
    pointer = PayloadPointer(plane.provisioned.bucket, f"{RESERVED_PREFIX}x")
    text = encode_message(task_for(plane))
    await plane.aws.bucket(pointer.bucket).put(pointer.key, text.encode(), "application/json")
    await plane.queue.send(encode_pointer(pointer), attributes)
    await use_up_tries(plane)
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(
            str(plane.settings.endpoint_url),
            # As long as the AWS library tries by itself: the agent's whole last try.
            faults=lambda request: (
                AwsFault.UNAVAILABLE
                if (request.service, request.operation) == ("s3", "GET") and request.number < 5
                else None
            ),
        ) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            ((end, message),) = await notified(plane)
            await until_empty(plane.queue)
    assert proxy.suffered[AwsFault.UNAVAILABLE] == 5
    assert end.status is Status.COMPLETED
    if attributes:
        assert message.attributes["notification_id"] == notification_attributes(end, "s1")["notification_id"]
    assert await is_empty(plane.dead_letters)
