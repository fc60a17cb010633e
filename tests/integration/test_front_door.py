"""Both doors before the emulator: what they write and publish is what an agent will find."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx
import msgspec
import pytest

from darkroom.api.lambda_handler import compose
from darkroom.client import ApiFailure, AsyncClient, Client, Status, image_to_image, text_to_image
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.samples import read_picture, read_sample
from darkroom.tasks.heartbeat import AgentState, Heartbeat
from darkroom.tasks.message import Delivery, PayloadPointer, decode_message, unwrap
from darkroom.testing.free_port import free_port

from .conftest import KEY, Plane, RunningGateway, front_door_environment, running_gateway


async def receive(plane: Plane) -> Delivery:
    (message,) = await plane.queue.receive(wait_seconds=10)
    await plane.queue.delete(message.receipt_handle)
    return unwrap(message.body, message.attributes, message.message_id)


@pytest.fixture
def invoke(plane: Plane) -> Callable[..., tuple[int, Any]]:
    handler = compose(front_door_environment(plane))

    def call(method: str, path: str, document: Any = None, query: dict[str, str] | None = None) -> tuple[int, Any]:
        event = {
            "httpMethod": method,
            "path": path,
            "headers": {"content-type": "application/json"},
            "queryStringParameters": query,
            "body": None if document is None else json.dumps(document),
            "isBase64Encoded": False,
        }
        reply = handler(event, None)
        return reply["statusCode"], json.loads(reply["body"])

    return call


def sample_for(plane: Plane, name: str = "v1alpha2-text-to-image") -> dict[str, Any]:
    sample = read_sample(name)
    sample["task"]["metadata"]["runtime"] = plane.runtime
    return sample


async def test_lambda_records_and_publishes(plane: Plane, invoke: Callable[..., tuple[int, Any]]) -> None:
    sample = sample_for(plane)
    status, reply = invoke("POST", "/v1alpha2", sample)
    assert (status, reply["output_location"]) == (200, f"s3://{plane.provisioned.bucket}/output/test-t2i")
    delivery = await receive(plane)
    assert isinstance(delivery.payload, str)
    assert json.loads(delivery.payload) == sample["task"]
    record = await plane.aws.task_table(plane.provisioned.table).get("test-t2i")
    assert record is not None
    assert (record.status, record.submission_id) == (Status.QUEUED, delivery.submission_id)
    assert invoke("GET", "/v1alpha2/tasks/test-t2i")[1]["status"] == "queued"
    assert invoke("PUT", "/v1alpha2/tasks/test-t2i/cancel")[0] == 202
    assert invoke("GET", "/v1alpha2/tasks/test-t2i")[1]["cancel_requested"] is True
    assert invoke("GET", "/v1alpha2/tasks/nobody")[0] == 404


async def test_both_doors_say_how_many_tasks_wait(
    plane: Plane, invoke: Callable[..., tuple[int, Any]], gateway: RunningGateway
) -> None:
    assert invoke("POST", "/v1alpha2", sample_for(plane))[0] == 200
    beat = Heartbeat(
        agent="a", runtime=plane.runtime, seen_at=time.time(), state=AgentState.READY, service_seconds=2.0, in_work=1
    )
    await plane.aws.heartbeats(plane.provisioned.table).write(beat)
    async with httpx.AsyncClient(headers={"x-api-key": KEY}) as http:
        for runtimes in (
            invoke("GET", "/v1alpha2/runtimes")[1],
            (await http.get(f"{gateway.endpoint}/v1alpha2/runtimes")).json(),
        ):
            (told,) = runtimes["runtimes"]
            assert (told["waiting"], told["in_work"], told["agents_ready"]) == (1, 0, 1)
            assert told["estimated_wait_seconds"] == 3.0
        listed = (await http.get(f"{gateway.endpoint}/v1alpha2/tasks")).json()
        assert listed == {"tasks": []}  # that was another caller's
    assert [task["id"] for task in invoke("GET", "/v1alpha2/tasks")[1]["tasks"]] == ["test-t2i"]


async def test_lambda_offloads_what_does_not_fit(plane: Plane, invoke: Callable[..., tuple[int, Any]]) -> None:
    sample = sample_for(plane, "v1alpha2-image-to-image")
    sample["task"]["content"]["init_images"] = [base64.b64encode(os.urandom(3_000_000)).decode()]
    assert invoke("POST", "/v1alpha2", sample)[0] == 200
    delivery = await receive(plane)
    assert isinstance(delivery.payload, PayloadPointer)
    assert delivery.payload.key.startswith(RESERVED_PREFIX)
    payload = await plane.aws.bucket(delivery.payload.bucket).get(delivery.payload.key)
    assert json.loads(payload) == sample["task"]
    assert delivery.attributes["ExtendedPayloadSize"] == str(len(payload))
    assert decode_message(payload).faults == ()


async def test_lambda_gives_links_that_open_without_credentials(
    plane: Plane, invoke: Callable[..., tuple[int, Any]]
) -> None:
    invoke("POST", "/v1alpha2", sample_for(plane))
    await _complete(plane, "test-t2i")
    _, view = invoke("GET", "/v1alpha2/tasks/test-t2i", query={"links": "true"})
    (link,) = view["links"]["image_url"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(link)).content == read_picture()


async def test_lambda_says_try_again_when_aws_does_not_answer(plane: Plane) -> None:
    nowhere = {**front_door_environment(plane), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    handler = compose(nowhere)
    headers = {"Content-Type": "application/json"}
    reply = handler(
        {"httpMethod": "POST", "path": "/v1alpha2", "headers": headers, "body": json.dumps(sample_for(plane))}, None
    )
    assert reply["statusCode"] == 503
    assert reply["headers"]["Retry-After"]


async def test_lambda_accepts_nothing_while_its_topic_does_not_exist(plane: Plane) -> None:
    wrong = {**front_door_environment(plane), "SNS_TOPIC_ARN": plane.provisioned.input_topic_arn + "-gone"}
    handler = compose(wrong)
    headers = {"Content-Type": "application/json"}
    reply = handler(
        {"httpMethod": "POST", "path": "/v1alpha2", "headers": headers, "body": json.dumps(sample_for(plane))}, None
    )
    # Somebody may be about to mend it: what AWS says of a missing topic is not final.
    assert reply["statusCode"] == 503
    assert await plane.aws.task_table(plane.provisioned.table).get("test-t2i") is None


async def test_the_gateway_serves_the_sdk_and_stops_when_told(plane: Plane, gateway: RunningGateway) -> None:
    async with AsyncClient(gateway.endpoint, KEY) as client:
        accepted = await client.submit(text_to_image("a cat", runtime=plane.runtime, context={"order": 7}))
        delivery = await receive(plane)
        assert isinstance(delivery.payload, str)
        assert decode_message(delivery.payload).id == accepted.id
        await _complete(plane, accepted.id, sha256(KEY.encode()).hexdigest()[:16])
        view = await client.wait(accepted.id, timeout_seconds=20)
        assert (view.status, view.result, view.context) == (Status.COMPLETED, True, {"order": 7})
        (picture,) = await client.download(accepted.id)
        assert picture.data == read_picture()
    gateway.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(gateway.process.wait(), 15) == 0


async def test_the_gateway_takes_three_megabytes_and_refuses_seven(plane: Plane, gateway: RunningGateway) -> None:
    def submit(text: str) -> None:
        sample = sample_for(plane)
        sample["task"]["content"]["prompt"] = text
        with Client(gateway.endpoint, KEY) as client:
            client.submit(sample)

    await asyncio.to_thread(submit, "a cat " * 500_000)
    assert isinstance((await receive(plane)).payload, PayloadPointer)
    with pytest.raises(ApiFailure, match="larger than 6 MB") as caught:
        await asyncio.to_thread(submit, "a cat " * 1_200_000)
    assert caught.value.status_code == 413


async def test_a_picture_of_seven_megabytes_is_sent_to_the_bucket_first(plane: Plane, gateway: RunningGateway) -> None:
    picture = read_picture() + bytes(7_000_000)

    def submit() -> None:
        with Client(gateway.endpoint, KEY) as client:
            client.submit(image_to_image("a wizard", picture, runtime=plane.runtime))

    await asyncio.to_thread(submit)
    payload = (await receive(plane)).payload
    assert isinstance(payload, str)
    (link,) = json.loads(payload)["content"]["init_images"]
    bucket = f"s3://{plane.provisioned.bucket}/"
    assert link.startswith(f"{bucket}darkroom-payloads/uploads/")
    assert await plane.aws.bucket(plane.provisioned.bucket).find(link.removeprefix(bucket)) == picture


async def test_of_a_hundred_at_once_as_many_pass_as_may_burst(plane: Plane) -> None:
    # Refilled so slowly that it does not matter how long the hundred take.
    async with (
        running_gateway(plane, DARKROOM_RATE_LIMIT="0.001") as gateway,
        httpx.AsyncClient(headers={"x-api-key": KEY}, limits=httpx.Limits(max_connections=100)) as http,
    ):
        replies = await asyncio.gather(
            *(http.post(f"{gateway.endpoint}/v1alpha2", json=sample_for(plane)) for _ in range(100))
        )
    assert sorted(reply.status_code for reply in replies) == [200] * 50 + [429] * 50


async def _complete(plane: Plane, task_id: str, caller: str = "") -> None:
    """What an agent does when a task is done."""
    key = f"output/{task_id}/{task_id}-abcd-1.png"
    await plane.aws.bucket(plane.provisioned.bucket).put(key, read_picture(), "image/png")
    table = plane.aws.task_table(plane.provisioned.table)
    record = await table.get(task_id, caller)
    assert record is not None
    url = f"s3://{plane.provisioned.bucket}/{key}"
    done = msgspec.structs.replace(record, status=Status.COMPLETED, image_url=[url], updated_at=record.updated_at + 1)
    await table.advance(done)
