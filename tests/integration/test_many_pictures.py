"""More pictures than a notification can name: they are told, recorded, and found."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.lambda_handler import compose
from darkroom.api.looking_up import MOST_LINKS
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.client import AsyncClient
from darkroom.policy.catalogue import Catalogue
from darkroom.tasks.message import encode_message
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import TaskView
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane, front_door_environment
from tests.integration.test_agent import (
    dead_letter,
    notified,
    settings_for,
    submit,
    task_for,
    until_empty,
    working,
)

# With names as long as these, and the longest context, more than SNS takes.
PREFIX = "p" * 500
CONTEXT = "c" * 65_000
PICTURES = 400


async def test_a_task_with_more_pictures_than_fit_is_told_recorded_and_downloaded(plane: Plane) -> None:
    content = {"prompt": "A dog", "n_iter": PICTURES // 8, "batch_size": 8}
    async with FakeSdWebui(plain_bytes=300) as runtime, working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, prefix=PREFIX, context=CONTEXT, content=content))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, end.result, end.context) == (Status.COMPLETED, True, CONTEXT)
    assert (end.image_url, end.image_url_omitted) == ([], PICTURES)
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.image_url, record.image_url_omitted) == (Status.COMPLETED, [], PICTURES)
    out = json.loads(await plane.aws.bucket(plane.provisioned.bucket).get(str(end.output_url).split("/", 3)[3]))
    assert len(out["notification"]["image_url"]) == PICTURES

    # The function's own bucket, which has no event loop, reads the list too.
    handler = compose(front_door_environment(plane))
    query = {"links": "true", "from": str(PICTURES - 9)}
    event = {"httpMethod": "GET", "path": "/v1alpha2/tasks/t1", "headers": {}, "queryStringParameters": query}
    reply = await asyncio.to_thread(handler, event, None)
    assert reply["statusCode"] == 200, reply
    view = json.loads(reply["body"])
    assert ("image_url" in view, view["image_url_omitted"]) == (False, PICTURES)
    assert len(view["links"]["image_url"]) == 10
    async with httpx.AsyncClient() as http:
        last = await http.get(view["links"]["image_url"][-1])
    assert last.status_code == 200
    assert f"-{PICTURES}.png" in str(last.url)

    door = _door(plane)

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "door":
            asked = HttpRequest(
                method=request.method, path=request.url.path, query=dict(request.url.params), body=request.content
            )
            answered: HttpReply = await door.answer(asked)
            return httpx.Response(answered.status, content=answered.encode_body())
        return await outside.get(str(request.url))

    # One for all: making one takes longer than a request does.
    async with (
        httpx.AsyncClient() as outside,
        AsyncClient("http://door", "key", transport=httpx.MockTransport(answer)) as client,
    ):
        pictures = await client.download("t1")
    assert [picture.name.rpartition("-")[2] for picture in pictures] == [f"{n}.png" for n in range(1, PICTURES + 1)]
    assert all(picture.data.startswith(b"\x89PNG") for picture in pictures)


async def test_links_come_in_parts(plane: Plane) -> None:
    urls = [f"s3://{plane.provisioned.bucket}/p/t1/t1-abcd-{number}.png" for number in range(1, MOST_LINKS + 3)]
    await plane.aws.task_table(plane.provisioned.table).put(
        TaskRecord(id="t1", submission_id="s1", status=Status.COMPLETED, runtime="r", image_url=urls)
    )
    door = _door(plane)

    async def links(first: int) -> list[str]:
        query = {"links": "true", "from": str(first)}
        reply = await door.answer(HttpRequest(method="GET", path="/v1alpha2/tasks/t1", query=query))
        assert isinstance(reply.body, TaskView)
        assert reply.body.links is not None
        return reply.body.links.image_url

    assert len(await links(1)) == MOST_LINKS
    rest = await links(MOST_LINKS + 1)
    assert [link.partition("?")[0].rpartition("-")[2] for link in rest] == [
        f"{MOST_LINKS + 1}.png",
        f"{MOST_LINKS + 2}.png",
    ]
    assert await links(MOST_LINKS + 3) == []


def _door(plane: Plane) -> FrontDoor:
    ports = Ports(
        plane.aws.topic(plane.provisioned.input_topic_arn),
        plane.aws.bucket(plane.provisioned.bucket),
        plane.aws.task_table(plane.provisioned.table),
    )
    service = Service(Catalogue([]), plane.provisioned.bucket)
    return FrontDoor(service, ports, clock=lambda: 1000.0, new_submission_id=lambda: "none")


@pytest.mark.parametrize("size", [70_000, 400_000])
async def test_a_context_that_no_front_door_has_seen_ends_its_task_and_is_told_where_it_fits(
    plane: Plane, size: int
) -> None:
    task = task_for(plane, context={"of mine": "x" * size})
    await plane.queue.send(encode_message(task), {"submission_id": "s1"})
    async with FakeSdWebui(plain_bytes=300) as runtime, working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await dead_letter(plane)
        await until_empty(plane.queue)
    assert (end.status, end.result, runtime.requests) == (Status.FAILED, False, [])
    assert end.error
    assert "context" in end.error.message
    if size < 256 * 1024:
        assert end.context == task.context
    else:
        assert (end.context, end.context_omitted) == ({}, True)
