"""A message that is replaced by a copy, for an outage that is not its task's fault, stays what it was."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies, Standing
from darkroom.agent.lease import Lease
from darkroom.aws.connection import open_aws
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    is_empty,
    notified,
    settings_for,
    submit,
    task_for,
    until_empty,
    working,
)

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


async def test_a_copy_keeps_its_submission_its_trace_and_its_time(plane: Plane) -> None:
    others = {f"a{number}": "x" for number in range(9)}
    await plane.queue.send("text", {**others, "runtime": plane.runtime}, trace_header=HEADER)
    originals = []
    for _ in range(3):
        (message,) = await plane.queue.receive(wait_seconds=5)
        originals.append(message)
        await Lease(plane.queue, message, 30, Clock(), time.monotonic()).start_over(
            0, Copies(plane.aws.bucket(plane.provisioned.bucket))
        )
    first, second, third = originals
    assert len({message.message_id for message in originals}) == 3
    assert [message.attributes.get("copy_number") for message in originals] == [None, "1", "2"]
    for copy in (second, third):
        assert (copy.body, copy.received, copy.trace_header) == ("text", 1, HEADER)
        assert copy.attributes["submission_id"] == first.message_id
        assert float(copy.attributes["first_sent_at"]) == first.sent_at
        assert copy.attributes["runtime"] == plane.runtime
        assert len(copy.attributes) == 10


async def test_a_copy_of_a_task_that_has_waited_too_long_is_not_run(plane: Plane) -> None:
    attributes = {"submission_id": "s1", "first_sent_at": str(time.time() - 100)}
    await plane.queue.send(encode_message(task_for(plane)), attributes)
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        working(settings_for(plane, runtime.url, task_expiry_seconds=60.0)),
    ):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, runtime.requests) == (Status.EXPIRED, [])
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert time.time() - record.created_at > 90


async def receive(plane: Plane) -> ReceivedMessage:
    (message,) = await plane.queue.receive(wait_seconds=5, visibility_seconds=0)
    return message


def lease_of(message: ReceivedMessage, queue: Queue) -> Lease:
    return Lease(queue, message, 30, Clock(), time.monotonic())


def copies_of(plane: Plane) -> Copies:
    return Copies(plane.aws.bucket(plane.provisioned.bucket))


async def hold_copy(plane: Plane, original: ReceivedMessage) -> None:
    """Keep the copy from everybody, so that it waits for longer than a test takes."""
    async with asyncio.timeout(30):
        while True:
            for message in await plane.queue.receive(maximum=10, wait_seconds=1, visibility_seconds=600):
                if message.message_id != original.message_id:
                    return
                await plane.queue.change_visibility(message.receipt_handle, 0)


async def use_up_receives(plane: Plane, message_id: str, receives: int) -> None:
    """Receive until the message has been received so often; what else comes by is held."""
    async with asyncio.timeout(30):
        while True:
            for message in await plane.queue.receive(maximum=10, wait_seconds=1, visibility_seconds=600):
                if message.message_id == message_id:
                    await plane.queue.change_visibility(message.receipt_handle, 0)
                    if message.received >= receives:
                        return


async def begin_anew_but(plane: Plane, operation: str, fault: AwsFault) -> ReceivedMessage:
    """A submission that was to begin anew, but for one call of SQS; return its original, which is in the queue."""
    await submit(plane, task_for(plane), "s1")
    await receive(plane)
    original = await receive(plane)

    def faults(request: AwsRequest) -> AwsFault | None:
        return fault if request.operation == operation else None

    async with (
        FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy,
        open_aws(msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2), "sqs") as aws,
    ):
        queue = aws.queue(plane.queue.url)
        await lease_of(original, queue).start_over(0, copies_of(plane))
    return original


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("DeleteMessage", AwsFault.DENIED),
        ("SendMessage", AwsFault.LOST_CALL),
        ("SendMessage", AwsFault.DENIED),
    ],
    ids=["the original stays", "the copy's answer is lost", "there is no copy"],
)
async def test_an_original_whose_copy_may_wait_ends_nothing_and_nothing_is_lost(
    plane: Plane, operation: str, fault: AwsFault
) -> None:
    original = await begin_anew_but(plane, operation, fault)
    if (operation, fault) != ("SendMessage", AwsFault.DENIED):
        await hold_copy(plane, original)
    # All but the last receive, which is for telling.
    await use_up_receives(plane, original.message_id, 5)
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await until_gone(plane, original.message_id)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 1)
    assert await is_empty(plane.dead_letters)


async def until_gone(plane: Plane, message_id: str) -> None:
    """Wait until nothing but held copies is in the queue."""
    async with asyncio.timeout(30):
        while (await plane.queue.read_attributes()).visible:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for message in await plane.queue.receive(wait_seconds=1):
        assert message.message_id != message_id


async def test_an_original_whose_copy_has_come_is_dropped(plane: Plane) -> None:
    original = await begin_anew_but(plane, "DeleteMessage", AwsFault.DENIED)
    await hold_copy(plane, original)
    await copies_of(plane).came("s1", 1)
    await use_up_receives(plane, original.message_id, 5)
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        await until_gone(plane, original.message_id)
    assert runtime.requests == []
    assert await plane.notifications.receive(wait_seconds=0) == []
    assert await is_empty(plane.dead_letters)


@pytest.mark.parametrize("has_come", [False, True])
async def test_an_original_that_sqs_sets_aside_is_no_end_while_its_copy_may_wait(plane: Plane, has_come: bool) -> None:
    original = await begin_anew_but(plane, "DeleteMessage", AwsFault.DENIED)
    await hold_copy(plane, original)
    if has_come:
        await copies_of(plane).came("s1", 1)
    await use_up_receives(plane, original.message_id, 6)
    async with asyncio.timeout(10):
        while await is_empty(plane.dead_letters):
            await plane.queue.receive(visibility_seconds=600, wait_seconds=0)
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        working(settings_for(plane, runtime.url, sweep_seconds=0.1)),
    ):
        await until_empty(plane.dead_letters)
        if not has_come:
            ((end, _),) = await notified(plane)
            assert end.status is Status.COMPLETED
    assert await plane.notifications.receive(wait_seconds=0) == []
    assert len(runtime.requests) == (0 if has_come else 1)


async def test_copies_that_are_made_at_once_get_different_numbers(plane: Plane) -> None:
    copies = copies_of(plane)
    assert sorted(await asyncio.gather(*(copies.make("s1", 0) for _ in range(4)))) == [1, 2, 3, 4]
    assert await copies.standing("s1", 4) is Standing.NEWEST
    assert await copies.standing("s1", 0) is Standing.UNCERTAIN
    await copies.came("s1", 3)
    assert [await copies.standing("s1", number) for number in (2, 3)] == [Standing.SUPERSEDED, Standing.UNCERTAIN]
    assert await copies.standing("another", 0) is Standing.NEWEST


async def test_a_poisoned_copy_is_told_when_its_own_tries_are_used_up(plane: Plane) -> None:
    original = await begin_anew_but(plane, "DeleteMessage", AwsFault.DENIED)
    await plane.queue.delete((await take(plane, original.message_id)).receipt_handle)
    (copy,) = await plane.queue.receive(wait_seconds=5, visibility_seconds=0)
    assert copy.attributes["copy_number"] == "1"
    await use_up_receives(plane, copy.message_id, 5)
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, runtime.requests) == (Status.FAILED, [])


async def take(plane: Plane, message_id: str) -> ReceivedMessage:
    async with asyncio.timeout(30):
        while True:
            for message in await plane.queue.receive(wait_seconds=1):
                if message.message_id == message_id:
                    return message
                await plane.queue.change_visibility(message.receipt_handle, 0)
