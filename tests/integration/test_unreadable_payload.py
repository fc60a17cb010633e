"""A message whose payload cannot be read: who asked for it is told, and only what is gone for good is final."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest

from darkroom.agent.clock import Clock
from darkroom.api.exchange import HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.aws.connection import Aws
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.settings import AwsSettings
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.notification import notification_attributes
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    dead_letter,
    is_empty,
    keys,
    notified,
    settings_for,
    submit,
    task_for,
    until_empty,
    working,
)
from tests.integration.test_last_try import plane_of_few_tries, use_up_tries

CONTEXT = {"order": 17}


async def send_large(plane: Plane, **metadata: Any) -> tuple[str, str]:
    """Submit a task at the front door that is too large for the topic; return its submission and its payload's key."""
    submission = uuid.uuid4().hex
    aws = plane.aws
    service = Service(
        Catalogue([RuntimeSpec(name=plane.runtime, type="sdwebui", model=plane.model)]), plane.provisioned.bucket
    )
    ports = Ports(
        aws.topic(plane.provisioned.input_topic_arn),
        aws.bucket(plane.provisioned.bucket),
        aws.task_table(plane.provisioned.table),
    )
    door = FrontDoor(service, ports, clock=Clock().now, new_submission_id=lambda: submission)
    task = {
        "metadata": {
            "id": "t1",
            "runtime": plane.runtime,
            "tasktype": "text-to-image",
            "prefix": "out put/é",
            "context": CONTEXT,
            **metadata,
        },
        "content": {"prompt": "x" * 300_000, "steps": 4},
    }
    body = json.dumps({"task": task}).encode()
    request = HttpRequest(method="POST", path="/v1alpha2", content_type="application/json", body=body, caller="key-1")
    reply = await door.answer(request)
    assert reply.status == 200, reply
    return submission, f"{RESERVED_PREFIX}{submission}"


async def remove(plane: Plane, key: str) -> None:
    await plane.aws.client("s3").delete_object(Bucket=plane.provisioned.bucket, Key=key)


async def test_a_task_whose_payload_is_gone_ends_and_is_told(plane: Plane) -> None:
    submission, payload = await send_large(plane)
    await remove(plane, payload)
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        ((end, message),) = await notified(plane)
        letter = await dead_letter(plane)
        await until_empty(plane.queue)
    assert (end.id, end.status, end.runtime, end.result) == ("t1", Status.FAILED, plane.runtime, False)
    assert end.context == CONTEXT
    assert end.error
    assert (end.error.type, end.error.retryable) == ("UnreadableMessage", False)
    assert message.attributes["notification_id"] == notification_attributes(end, submission)["notification_id"]
    (out,) = await keys(plane)
    assert out.startswith("out put/é/t1/t1-")
    assert end.output_url == f"s3://{plane.provisioned.bucket}/{out}"
    record = await plane.aws.task_table(plane.provisioned.table).get("t1", "key-1")
    assert record is not None
    assert (record.status, record.error, record.context) == (Status.FAILED, end.error, CONTEXT)
    assert letter.attributes["dead_letter_task_id"] == "t1"
    assert letter.attributes["submission_id"] == submission


async def test_a_payload_that_went_when_its_task_had_ended_contradicts_nothing(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        submission, payload = await send_large(plane)
        ((first, _),) = await notified(plane)
        pointer = PayloadPointer(plane.provisioned.bucket, payload)
        await remove(plane, payload)
        await plane.queue.send(
            encode_pointer(pointer), {"submission_id": submission, "task_id": "t1", "prefix": "out put/é"}
        )
        ((second, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert first.status is Status.COMPLETED
    assert second == first
    assert await is_empty(plane.dead_letters)


@pytest.mark.parametrize("fault", [AwsFault.EXPIRED, AwsFault.DENIED, AwsFault.SKEWED], ids=str)
async def test_a_payload_that_is_refused_for_a_while_is_fetched_when_it_is_not(
    aws: Aws, aws_settings: AwsSettings, fault: AwsFault
) -> None:
    """On its last try, and longer."""
    plane = await plane_of_few_tries(aws, aws_settings)
    refusals = 3

    def faults(request: AwsRequest) -> AwsFault | None:
        refused = (request.service, request.operation) == ("s3", "GET") and request.number < refusals
        return fault if refused else None

    async with (
        FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy,
        FakeSdWebui(plain_bytes=1500) as runtime,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        await send_large(plane)
        await use_up_tries(plane)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
        assert proxy.suffered[fault] == refusals
    assert end.status is Status.COMPLETED
    assert await is_empty(plane.dead_letters)


async def test_a_payload_that_stays_refused_for_a_day_is_given_up_and_told(plane: Plane) -> None:
    submission, _ = await send_large(plane)
    (message,) = await plane.queue.receive(wait_seconds=5)
    await plane.queue.delete(message.receipt_handle)
    pointer = PayloadPointer(plane.provisioned.bucket, f"{RESERVED_PREFIX}{submission}")
    attributes = {
        "submission_id": submission,
        "task_id": "t1",
        "prefix": "p",
        "first_sent_at": f"{Clock().now() - 25 * 3600:.3f}",
    }
    await plane.queue.send(encode_pointer(pointer), attributes)

    def faults(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if (request.service, request.operation, request.number) == ("s3", "GET", 0) else None

    async with (
        FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy,
        FakeSdWebui(plain_bytes=1500) as runtime,
        working(settings_for(plane, runtime.url, aws=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url))),
    ):
        ((end, _),) = await notified(plane)
    assert end.status is Status.FAILED
    assert end.error
    assert "AccessDenied" in end.error.message


async def test_a_payload_elsewhere_in_the_bucket_is_not_read(plane: Plane) -> None:
    """Whoever may publish could otherwise have the agent read whatever it may."""
    bucket = plane.provisioned.bucket
    await plane.aws.bucket(bucket).put("output/secret", encode_message(task_for(plane)).encode(), "application/json")
    for key in ("output/secret", f"{RESERVED_PREFIX}../output/secret"):
        await plane.queue.send(encode_pointer(PayloadPointer(bucket, key)), {"task_id": "t1"})
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        ends = [end for end, _ in await notified(plane, 2)]
        await until_empty(plane.queue)
    assert [end.status for end in ends] == [Status.FAILED] * 2
    assert runtime.requests == []


@pytest.mark.parametrize(
    ("task_id", "prefix"),
    [("..", "p"), ("a/b", "p"), ("t1", "darkroom-payloads/x"), ("t1", "a/../b"), ("x" * 300, "p")],
)
async def test_names_that_no_front_door_lets_in_get_no_objects(plane: Plane, task_id: str, prefix: str) -> None:
    pointer = encode_pointer(PayloadPointer(plane.provisioned.bucket, f"{RESERVED_PREFIX}none"))
    await plane.queue.send(pointer, {"task_id": task_id, "prefix": prefix})
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.id, end.status) == (task_id[:256], Status.FAILED)
    assert not end.output_url
    assert await keys(plane) == []


async def test_a_task_that_is_readable_and_no_task_for_this_runtime_ends_with_a_record(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        task = msgspec.json.decode(encode_message(task_for(plane)))
        task["metadata"]["tasktype"] = "pipeline"
        topic = plane.aws.topic(plane.provisioned.input_topic_arn)
        await topic.publish(msgspec.json.encode(task).decode(), {"runtime": plane.runtime})
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
        await submit(plane, task_for(plane, "t2"))
        ((other, _),) = await notified(plane)
    assert (end.status, end.context, other.status) == (Status.FAILED, {"abc": 123}, Status.COMPLETED)
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.error, record.output_url) == (Status.FAILED, end.error, end.output_url)
