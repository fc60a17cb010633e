"""A task's group, which SQS's fair queues go by: from the API key to the queue, and through every copy of a message."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from darkroom.api.lambda_handler import compose
from darkroom.aws.dead_letters import held_letters
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.samples import read_sample
from darkroom.tasks.message import encode_message
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from tests.integration.conftest import KEY, Plane, RunningGateway, front_door_environment
from tests.integration.test_agent import (
    dead_letter,
    notified,
    settings_for,
    task_for,
    until,
    until_empty,
    working,
)
from tests.integration.test_dead_letter_queue import dlq, write_facts

GROUP = "a1b2c3d4e5"


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def taken(queue: Queue) -> ReceivedMessage:
    (message,) = await queue.receive(wait_seconds=10)
    await queue.delete(message.receipt_handle)
    return message


def request_for(plane: Plane, version: str) -> dict[str, Any]:
    body = read_sample(f"{version}-text-to-image")
    if version == "v1alpha2":
        body["task"]["metadata"]["runtime"] = plane.runtime
    else:
        body["alwayson_scripts"]["sd_model_checkpoint"] = plane.model
    return body


async def submit_in_group(plane: Plane) -> None:
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    await topic.publish(encode_message(task_for(plane)), {"runtime": plane.runtime, "submission_id": "s1"}, group=GROUP)


@pytest.mark.parametrize("version", ["v1alpha2", "v1alpha1"])
async def test_behind_api_gateway_it_is_the_id_of_the_key(plane: Plane, version: str) -> None:
    handler = compose(front_door_environment(plane))
    event = {
        "httpMethod": "POST",
        "path": f"/{version}",
        "headers": {"content-type": "application/json", "x-api-key": "secret"},
        "body": json.dumps(request_for(plane, version)),
        "requestContext": {"identity": {"apiKey": "secret", "apiKeyId": GROUP, "sourceIp": "192.0.2.1"}},
    }
    assert handler(event, None)["statusCode"] == 200
    message = await taken(plane.queue)
    assert message.group == GROUP
    assert "secret" not in message.body


@pytest.mark.parametrize("version", ["v1alpha2", "v1alpha1"])
async def test_at_the_gateway_it_is_the_same_for_a_key_and_does_not_tell_it(
    plane: Plane,
    gateway: RunningGateway,
    version: str,
) -> None:
    async with httpx.AsyncClient(headers={"x-api-key": KEY}) as http:
        for _ in range(2):
            reply = await http.post(f"{gateway.endpoint}/{version}", json=request_for(plane, version))
            assert reply.status_code == 200, reply.text
    first, second = await taken(plane.queue), await taken(plane.queue)
    assert first.group == second.group is not None
    assert KEY not in first.group + first.body


async def test_without_one_there_is_none(plane: Plane) -> None:
    await plane.aws.topic(plane.provisioned.input_topic_arn).publish("x", {"runtime": plane.runtime})
    assert (await taken(plane.queue)).group is None


async def test_it_stands_in_the_agents_log(
    plane: Plane, runtime: FakeSdWebui, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "darkroom"):
        async with working(settings_for(plane, runtime.url)):
            await submit_in_group(plane)
            await notified(plane)
    lines = [vars(record).get("darkroom_fields", {}) for record in caplog.records]
    assert {line["action"] for line in lines if line.get("group") == GROUP} == {"task.running", "task.completed"}


async def test_a_copy_that_begins_anew_keeps_it(plane: Plane, runtime: FakeSdWebui) -> None:
    await submit_in_group(plane)
    await plane.queue.receive(visibility_seconds=0)
    runtime.latency_seconds = 60.0
    async with working(settings_for(plane, runtime.url), grace_seconds=0):
        await until(lambda: len(runtime.requests) == 1)
    message = await taken(plane.queue)
    assert (message.received, message.group) == (1, GROUP)


async def test_a_dead_letter_keeps_it_and_so_does_what_is_redriven(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    runtime.faults.append(SdWebuiFault.ERROR)
    await submit_in_group(plane)
    for _ in range(4):
        await plane.queue.receive(visibility_seconds=0)
    async with working(settings_for(plane, runtime.url)):
        await notified(plane)
        letter = await dead_letter(plane)
        await until_empty(plane.queue)
    assert letter.group == GROUP
    await plane.dead_letters.change_visibility(letter.receipt_handle, 0)
    write_facts(plane, tmp_path)
    shown = await dlq(tmp_path, "show", "t1")
    assert GROUP in shown.stdout
    async with held_letters(plane.dead_letters, queue=plane.queue, now=time.time) as held:
        (found,) = await held.all(10)
        await held.redrive(found)
    assert (await taken(plane.queue)).group == GROUP


async def test_what_is_no_task_keeps_it_too(plane: Plane, runtime: FakeSdWebui) -> None:
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    await topic.publish("not json", {"runtime": plane.runtime}, group=GROUP)
    async with working(settings_for(plane, runtime.url)):
        assert (await dead_letter(plane)).group == GROUP
