"""A message that SQS moved to the dead letters by itself is told of like any other that failed, and once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.settings import AgentSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.notification import notification_attributes
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    dead_letter,
    is_empty,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
# Nobody needs a runtime to tell of letters.
NO_RUNTIME = "http://127.0.0.1:1"


def sweeping(plane: Plane, **changes: Any) -> AgentSettings:
    return settings_for(plane, NO_RUNTIME, **{"sweep_seconds": 0.1, **changes})


async def let_sqs_move_it(plane: Plane) -> None:
    """Receive the message until SQS sets it aside."""
    async with asyncio.timeout(10):
        while await is_empty(plane.dead_letters):
            await plane.queue.receive(visibility_seconds=0, wait_seconds=0)
    assert await is_empty(plane.queue)


async def labelled(plane: Plane) -> ReceivedMessage:
    """The one letter, once it says why it is there."""
    async with asyncio.timeout(30):
        while True:
            letter = await dead_letter(plane)
            if "dead_letter_type" in letter.attributes:
                return letter
            await plane.dead_letters.change_visibility(letter.receipt_handle, 0)


async def test_the_end_is_told_recorded_and_written_on_the_letter(plane: Plane) -> None:
    attributes = {"submission_id": "s1", "runtime": plane.runtime, "mine": "x"}
    await plane.queue.send(encode_message(task_for(plane)), attributes, trace_header=HEADER)
    await let_sqs_move_it(plane)
    async with working(sweeping(plane)):
        ((end, message),) = await notified(plane)
        letter = await labelled(plane)
    assert (end.id, end.status, end.result, end.context) == ("t1", Status.FAILED, False, {"abc": 123})
    assert end.error
    assert (end.error.type, end.error.message) == ("GenerationFailed", "none of 5 tries came to an end")
    assert message.attributes["notification_id"] == notification_attributes(end, "s1")["notification_id"]
    assert letter.attributes.items() >= attributes.items()
    assert (letter.attributes["dead_letter_received"], letter.attributes["dead_letter_task_id"]) == ("6", "t1")
    assert letter.trace_header == HEADER
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.submission_id) == (Status.FAILED, "s1")
    await plane.dead_letters.delete(letter.receipt_handle)
    assert await is_empty(plane.dead_letters)


async def test_it_is_told_once_however_many_agents_look_and_however_often(plane: Plane) -> None:
    await submit(plane, task_for(plane), "s1")
    await let_sqs_move_it(plane)
    async with FaultProxy(str(plane.settings.endpoint_url)) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(sweeping(plane)), working(sweeping(plane, aws=behind)):
            await notified(plane)
            looks = proxy.requests["sqs:GetQueueAttributes"]
            await until(lambda: proxy.requests["sqs:GetQueueAttributes"] > looks + 5)
        sweeps = proxy.requests["sqs:ReceiveMessage"]
        async with working(sweeping(plane, aws=behind)):  # one that knows nothing of what was told
            await until(lambda: proxy.requests["sqs:ReceiveMessage"] > sweeps + 1)
    assert await plane.notifications.receive(wait_seconds=1) == []
    attributes = await plane.dead_letters.read_attributes()
    assert (attributes.visible, attributes.in_flight) == (1, 0)


async def test_a_task_that_had_ended_well_is_told_so_and_is_no_dead_letter(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane), "s1")
        ((first, _),) = await notified(plane)
        await until_empty(plane.queue)
    await plane.dead_letters.send(encode_message(task_for(plane)), {"submission_id": "s1"})
    async with working(sweeping(plane)):
        ((second, _),) = await notified(plane)
        await until_empty(plane.dead_letters)
    assert first.status is Status.COMPLETED
    assert second == first


async def test_what_is_no_task_gets_its_reason(plane: Plane) -> None:
    await plane.queue.send("not json")
    await let_sqs_move_it(plane)
    async with working(sweeping(plane)):
        letter = await labelled(plane)
    assert (letter.body, letter.attributes["dead_letter_type"]) == ("not json", "UnreadableMessage")


@pytest.mark.parametrize(
    ("service", "operation", "fault"),
    [
        ("sns", "Publish", AwsFault.ERROR),
        ("sqs", "SendMessage", AwsFault.LATE_ERROR),
        ("sqs", "DeleteMessage", AwsFault.LOST_ANSWER),
    ],
)
async def test_no_fault_of_aws_loses_the_letter_or_its_telling(
    plane: Plane, service: str, operation: str, fault: AwsFault
) -> None:
    await submit(plane, task_for(plane), "s1")
    await let_sqs_move_it(plane)

    def faults(request: AwsRequest) -> AwsFault | None:
        failing = (request.service, request.operation) == (service, operation) and request.number < 3
        return fault if failing else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2)
        async with working(sweeping(plane, aws=behind)):
            ((end, message),) = await notified(plane)
            letter = await labelled(plane)
    assert proxy.suffered[fault] > 0
    assert end.status is Status.FAILED
    assert message.attributes["notification_id"] == notification_attributes(end, "s1")["notification_id"]
    assert letter.attributes["submission_id"] == "s1"


async def test_of_many_letters_every_one_is_seen_and_given_back(plane: Plane) -> None:
    """Some 250 that were told of stand before three that were not, of which one is no task."""
    labels = {"dead_letter_type": "GenerationFailed", "dead_letter_reason": "x", "submission_id": "s"}
    text = encode_message(task_for(plane, "told"))
    for _ in range(25):
        await asyncio.gather(*(plane.dead_letters.send(text, labels) for _ in range(10)))
    await plane.dead_letters.send("not json")
    for number in (1, 2):
        await plane.dead_letters.send(
            encode_message(task_for(plane, f"silent-{number}")), {"submission_id": f"s{number}"}
        )
    async with FaultProxy(str(plane.settings.endpoint_url)) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(sweeping(plane, aws=behind)):
            ends = [end for end, _ in await notified(plane, 2)]
            await until_visible(plane.dead_letters, 253)
        calls = dict(proxy.requests)
    assert sorted((end.id, end.status) for end in ends) == [("silent-1", Status.FAILED), ("silent-2", Status.FAILED)]
    assert await plane.notifications.receive(wait_seconds=1) == []
    types = await letter_types(plane)
    assert types == {"GenerationFailed": 252, "UnreadableMessage": 1}
    # Ten at a time, there and back, and an empty one at the end of each look.
    assert calls["sqs:ReceiveMessage"] <= 2 * 27 + 10
    assert calls.get("sqs:ChangeMessageVisibility", 0) <= 10


async def until_visible(queue: Queue, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            attributes = await queue.read_attributes()
            if (attributes.visible, attributes.in_flight) == (count, 0):
                return
            await asyncio.sleep(0.05)


async def letter_types(plane: Plane) -> Counter[str | None]:
    """How many letters there are of each type."""
    found: Counter[str | None] = Counter()
    while messages := await plane.dead_letters.receive(maximum=10, wait_seconds=1, visibility_seconds=120):
        found.update(message.attributes.get("dead_letter_type") for message in messages)
    return found


async def test_an_agent_that_may_not_look_works_on(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_for(plane, NO_RUNTIME, sweep_seconds=0.1, dead_letter_queue_url=plane.queue.url + "-gone")
    async with working(settings):
        await until(lambda: any("is not told" in text for text in caplog.messages))
