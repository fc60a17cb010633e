"""The guide's requests, sent as the guide sends them, to a stack with the guide's throttle."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from darkroom.samples import read_picture, read_sample
from tests.acceptance.conftest import Stack, wait_for
from tests.acceptance.listening import Ears, queue_sizes

PNG = b"\x89PNG\r\n\x1a\n"


def sample(name: str, task_id: str) -> dict[str, Any]:
    """A sample of the guide under another id, its link replaced by a picture, for there may be no network."""
    body = read_sample(name)
    picture = base64.b64encode(read_picture()).decode()
    if "task" in body:
        body["task"]["metadata"]["id"] = task_id
        content = body["task"]["content"]
        if "init_images" in content:
            content["init_images"] = [picture]
        if "image" in content:
            content["image"] = picture
    else:
        scripts = body["alwayson_scripts"]
        scripts["id_task"] = task_id
        if scripts.pop("image_link", None):
            body["init_images"] = [picture]
    return body


@pytest.mark.parametrize(
    "name",
    [
        "v1alpha2-text-to-image",
        "v1alpha2-image-to-image",
        "v1alpha2-extra-single-image",
        "v1alpha1-text-to-image",
        "v1alpha1-image-to-image",
    ],
)
def test_a_sample_is_answered_at_once_developed_and_notified(stack: Stack, name: str) -> None:
    ears = Ears(stack)
    version, task_id = name.split("-")[0], f"acceptance-{name}"
    reply = stack.post(sample(name, task_id), version)
    assert reply.status_code == 200, reply.text
    expected = {"id_task": task_id, "output_location": reply.json()["output_location"]}
    if version == "v1alpha2":
        expected |= {"id": task_id, "runtime": "sdruntime"}
    else:
        expected |= {"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}
    address = f"{stack.facts.endpoint}/v1alpha2/tasks/{task_id}"
    beyond = {"status_url": address, "cancel_url": f"{address}/cancel"}
    assert reply.json() == expected | beyond
    notification = ears.hear(task_id)[task_id]
    assert notification["result"] is True, notification
    assert notification["status"] == "completed"
    (url,) = notification["image_url"]
    assert url.startswith(reply.json()["output_location"] + f"/{task_id}-")
    bucket, _, key = url.removeprefix("s3://").partition("/")
    picture = stack.client("s3").get_object(Bucket=bucket, Key=key)
    assert picture["ContentType"] == "image/png"
    assert picture["Body"].read().startswith(PNG)


def test_a_trailing_slash_is_taken_as_the_guides_own_test_sends_it(stack: Stack) -> None:
    assert stack.post(sample("v1alpha2-text-to-image", "slash"), "v1alpha2/").status_code == 200


def test_without_a_key_or_with_a_wrong_one_nobody_gets_in(stack: Stack) -> None:
    body = sample("v1alpha2-text-to-image", "anonymous")
    assert stack.post(body, key=None).status_code == 401
    assert stack.post(body, key="wrong").status_code == 401


def test_a_wrong_runtime_is_refused_with_the_right_ones(stack: Stack) -> None:
    body = sample("v1alpha2-text-to-image", "wrong")
    body["task"]["metadata"]["runtime"] = "nope"
    reply = stack.post(body)
    assert reply.status_code == 400
    (fault,) = reply.json()["errors"]
    assert fault["path"] == "task.metadata.runtime"
    assert "sdruntime" in fault["reason"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"not json", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"x" * 7_000_000, "application/json", 413),
    ],
)
def test_what_cannot_be_taken_is_refused_clearly(stack: Stack, body: bytes, content_type: str, status: int) -> None:
    reply = stack.post(body, **{"Content-Type": content_type})
    assert reply.status_code == status
    assert reply.json()["message"]


def test_a_message_straight_to_the_topic_is_developed(stack: Stack) -> None:
    ears = Ears(stack)
    message = sample("v1alpha2-text-to-image", "direct")["task"]
    stack.client("sns").publish(
        TopicArn=stack.facts.input_topic_arn,
        Message=json.dumps(message),
        MessageAttributes={"runtime": {"DataType": "String", "StringValue": "sdruntime"}},
    )
    assert ears.hear("direct")["direct"]["result"] is True


def test_a_malformed_message_ends_in_the_dead_letters_and_is_notified(stack: Stack) -> None:
    ears = Ears(stack)
    before = queue_sizes(stack)[2]
    stack.client("sns").publish(
        TopicArn=stack.facts.input_topic_arn,
        Message=json.dumps({"metadata": {"id": "malformed"}, "content": "?"}),
        MessageAttributes={"runtime": {"DataType": "String", "StringValue": "sdruntime"}},
    )
    notification = ears.hear("malformed")["malformed"]
    assert (notification["result"], notification["status"]) == (False, "failed")
    assert "tasktype" in notification["error"]["message"]
    wait_for(lambda: queue_sizes(stack)[2] == before + 1, "the dead letter")


def test_of_two_hundred_requests_at_once_the_burst_gets_through(stack: Stack) -> None:
    time.sleep(50 / 30)  # the bucket fills at 30 a second: this is the throttle's own clock, not a wait for anything
    body = json.dumps(sample("v1alpha2-text-to-image", "burst")).encode()
    began = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: stack.post(body), range(200)))
    codes = [reply.status_code for reply in replies]
    assert set(codes) == {200, 429}
    # 50 at once, and 30 more for every second that they took to arrive.
    assert 50 <= codes.count(200) <= 50 + 30 * (time.monotonic() - began) + 1
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.json()["message"]
