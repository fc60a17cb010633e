"""What nobody could do is an end with a reason, however it looks: it is told, set aside with the reason, and gone."""

from __future__ import annotations

import asyncio
import json

import pytest

from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    dead_letter,
    keys,
    notified,
    runtime,  # noqa: F401 - a fixture
    settings_for,
    task_for,
    until_empty,
    working,
)

METADATA = {"id": "t1", "runtime": "r", "tasktype": "text-to-image", "prefix": "p"}
UNCHECKED = {
    "wrong type": ({}, {"override_settings": "x", "alwayson_scripts": {"override_settings": {}}}, "override_settings"),
    "no link": ({}, {"alwayson_scripts": {"image_link": 7}}, "image_link"),
    "too deep": ({"context": "DEEP"}, {}, "deep"),
    "too much": ({}, {"prompt": [[] for _ in range(110_000)]}, "values"),
}


@pytest.mark.parametrize("case", UNCHECKED)
@pytest.mark.parametrize("moved", [False, True], ids=["received", "moved by SQS"])
async def test_what_nobody_checked_ends_with_its_reason(
    plane: Plane,
    runtime: FakeSdWebui,  # noqa: F811
    case: str,
    moved: bool,
) -> None:
    metadata, content, reason = UNCHECKED[case]
    text = json.dumps({"metadata": METADATA | metadata, "content": content}, separators=(",", ":"))
    text = text.replace('"DEEP"', "[" * 980 + "]" * 980)
    await (plane.dead_letters if moved else plane.queue).send(text, {"submission_id": "s1"})
    settings = settings_for(
        plane, runtime.url, sweep_seconds=0.1, dead_letter_queue_url=plane.provisioned.queues[0].dead_letter_url
    )
    async with working(settings):
        if "deep" not in reason and "values" not in reason:  # of these nothing can be read, not even an id
            ((end, _),) = await notified(plane)
            assert (end.id, end.status) == ("t1", Status.FAILED)
            assert end.error
            assert reason in end.error.message
        async with asyncio.timeout(30):
            while "dead_letter_type" not in (letter := await dead_letter(plane)).attributes:
                await plane.dead_letters.change_visibility(letter.receipt_handle, 0)
        await until_empty(plane.queue)
    assert letter.attributes["dead_letter_type"] == "UnreadableMessage"
    assert reason in letter.attributes["dead_letter_reason"]
    assert runtime.requests == []


@pytest.mark.parametrize("where", ["another key", "another bucket", "a key that begins alike"])
async def test_a_pointer_to_anything_but_a_payload_is_not_followed(
    plane: Plane,
    runtime: FakeSdWebui,  # noqa: F811
    where: str,
) -> None:
    """What lies there is a task, and would be done, if the agent let itself be led there."""
    other = f"{plane.provisioned.bucket}-other"
    pointer = {
        "another key": PayloadPointer(plane.provisioned.bucket, "output/x"),
        "another bucket": PayloadPointer(other, f"{RESERVED_PREFIX}x"),
        "a key that begins alike": PayloadPointer(plane.provisioned.bucket, f"{RESERVED_PREFIX[:-1]}x"),
    }[where]
    await plane.aws.client("s3").create_bucket(Bucket=other)
    for bucket in (plane.provisioned.bucket, other):
        text = encode_message(task_for(plane)).encode()
        await plane.aws.bucket(bucket).put(pointer.key, text, "application/json")
    async with working(settings_for(plane, runtime.url)):
        await plane.queue.send(encode_pointer(pointer))
        letter = await dead_letter(plane)
        await until_empty(plane.queue)
    assert f"s3://{pointer.bucket}/{pointer.key}" in letter.attributes["dead_letter_reason"]
    assert runtime.requests == []
    assert await keys(plane) == [pointer.key]
