"""What is only interrupted on its last try is not reported as a failure: outages of AWS, and the agent's own end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws
from darkroom.aws.queue import ReceivedMessage
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.settings import AwsSettings
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.notification import Notification, notification_attributes
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import (
    SOON,
    is_empty,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)

TRIES = 2  # how often a task is tried; the next receive is its last


@pytest.fixture
async def plane(aws: Aws, aws_settings: AwsSettings) -> Plane:
    """Tasks have few tries: how long each waits for the next one doubles."""
    return await plane_of_few_tries(aws, aws_settings)


async def plane_of_few_tries(aws: Aws, settings: AwsSettings) -> Plane:
    return await make_plane(aws, settings, maximum_receives=TRIES + 1)


async def use_up_tries(plane: Plane) -> None:
    for _ in range(TRIES - 1):
        await plane.queue.receive(visibility_seconds=0)


async def interrupted_and_done_by_the_next(plane: Plane) -> tuple[Notification, ReceivedMessage]:
    """Stop an agent in the middle of the one task, let another one do it, and return what is told."""
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        runtime.latency_seconds = 60.0
        async with open_agent(settings_for(plane, runtime.url), Health(), SOON) as agent:
            run = asyncio.create_task(agent.run())
            await until(lambda: len(runtime.requests) == 1)
            await agent.stop(0)
            await run
        runtime.latency_seconds = 0.0
        async with working(settings_for(plane, runtime.url)):
            ((end, message),) = await notified(plane)
            await until_empty(plane.queue)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 2)
    return end, message


async def test_a_task_that_is_interrupted_on_its_last_try_is_done_by_the_next_agent(plane: Plane) -> None:
    submission = await submit(plane, task_for(plane))
    await use_up_tries(plane)
    end, message = await interrupted_and_done_by_the_next(plane)
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
            # As long as the AWS library tries by itself: the agent's whole last try, and once more.
            faults=lambda request: (
                AwsFault.UNAVAILABLE
                if (request.service, request.operation) == ("s3", "GET") and request.number < 3
                else None
            ),
        ) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            ((end, message),) = await notified(plane)
            await until_empty(plane.queue)
    assert proxy.suffered[AwsFault.UNAVAILABLE] == 3
    assert end.status is Status.COMPLETED
    if attributes:
        assert message.attributes["notification_id"] == notification_attributes(end, "s1")["notification_id"]
    assert await is_empty(plane.dead_letters)


async def test_a_bucket_that_is_away_on_the_last_try_costs_no_try(plane: Plane) -> None:
    """The copy that begins anew cannot be noted down then: the message is held until it can."""
    away = True

    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if away and request.service == "s3" else None

    await submit(plane, task_for(plane))
    await use_up_tries(plane)
    health = Health()
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with open_agent(settings_for(plane, runtime.url, aws=behind), health, SOON) as agent:
            run = asyncio.create_task(agent.run())
            await until(lambda: proxy.suffered[AwsFault.DENIED] >= 2)
            await asyncio.sleep(1)  # how long it lasts is what is tested
            assert health.aws_away
            attributes = await plane.queue.read_attributes()
            assert (attributes.visible, attributes.in_flight) == (0, 1)
            away = False
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
            await agent.stop(20)
            await run
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 1)
    assert await is_empty(plane.dead_letters)


async def test_a_message_that_is_held_while_aws_is_away_does_not_keep_the_agent_from_stopping(plane: Plane) -> None:
    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.service == "s3" else None

    await submit(plane, task_for(plane))
    await use_up_tries(plane)
    health = Health()
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with open_agent(settings_for(plane, runtime.url, aws=behind), health, SOON) as agent:
            run = asyncio.create_task(agent.run())
            await until(lambda: proxy.requests["s3:PUT"] >= 2)
            begun = asyncio.get_running_loop().time()
            await agent.stop(20)
            await run
    assert asyncio.get_running_loop().time() - begun < 5
    assert len(await plane.queue.receive(wait_seconds=15)) == 1


async def test_a_queue_that_lets_a_message_be_received_twice_has_a_try_for_whom_an_agent_gave_it_back(
    plane: Plane,
) -> None:
    arn = await plane.dead_letters.read_arn()
    policy = {"RedrivePolicy": f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 2}}'}
    await plane.aws.client("sqs").set_queue_attributes(QueueUrl=plane.queue.url, Attributes=policy)
    await submit(plane, task_for(plane))
    await interrupted_and_done_by_the_next(plane)
    assert await is_empty(plane.dead_letters)


async def test_an_agent_that_may_not_ask_its_queue_holds_its_messages_nevertheless(plane: Plane) -> None:
    """What it assumes of the visibility timeout is what it asks for, however short the queue's own is."""
    await plane.aws.client("sqs").set_queue_attributes(QueueUrl=plane.queue.url, Attributes={"VisibilityTimeout": "1"})

    def refusal(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.operation == "GetQueueAttributes" else None

    await submit(plane, task_for(plane))
    async with (
        FakeSdWebui(plain_bytes=1500, latency_seconds=2.5) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=refusal) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            await until(lambda: len(runtime.requests) == 1)
            await asyncio.sleep(1.5)  # for longer than the queue hides a message by itself
            assert await plane.queue.receive(wait_seconds=0) == []
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 1)
