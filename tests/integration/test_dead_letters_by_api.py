"""Dead letters through the front door, down to the emulator's queues: as AWS Lambda does it, and the gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from darkroom.api.composition import ports_of
from darkroom.api.exchange import HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.lambda_handler import compose
from darkroom.api.service import Service
from darkroom.aws.connection import Aws
from darkroom.policy.callers import CallerSpec, decode_callers, encode_callers
from darkroom.policy.catalogue import decode_catalogue
from darkroom.policy.queue_urls import encode_queue_urls
from darkroom.settings import AwsSettings, read_front_door_settings
from darkroom.tasks.message import encode_message
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Priority, Status
from tests.integration.conftest import Plane, front_door_environment, make_plane
from tests.integration.test_agent import task_for

DIED = {"dead_letter_type": "GenerationFailed", "dead_letter_reason": "out of memory", "dead_letter_received": "5"}
BOSS = encode_callers([CallerSpec(name="boss", id="id-boss", role="operator")])


def environment(plane: Plane) -> dict[str, str]:
    queues = encode_queue_urls({plane.runtime: plane.queue.url}, low={plane.runtime: plane.low_queue.url})
    return {**front_door_environment(plane), "DARKROOM_CALLERS": BOSS, "DARKROOM_QUEUES": queues}


def asked(method: str, path: str, query: dict[str, str] | None = None, body: object = None) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "path": path,
        "headers": {"content-type": "application/json"},
        "queryStringParameters": query,
        "body": None if body is None else json.dumps(body),
        "requestContext": {"identity": {"apiKeyId": "id-boss"}},
    }


@pytest.fixture
async def letters(aws: Aws, aws_settings: AwsSettings) -> Plane:
    """A plane with two dead letters: of normal priority, with a record, and of low."""
    plane = await make_plane(aws, aws_settings, low_priority=True)
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id="t1", submission_id="s1", status=Status.FAILED, runtime=plane.runtime, created_at=5))
    for number, more in ((1, {}), (2, {"priority": Priority.LOW.value})):
        attributes = {"submission_id": f"s{number}", "runtime": plane.runtime, **more, **DIED}
        await plane.dead_letters.send(encode_message(task_for(plane, f"t{number}")), attributes)
    return plane


async def check(plane: Plane, first: dict[str, Any], count: int | None, done: dict[str, Any]) -> None:
    assert [(one["task_id"], one["reason"]) for one in first["dead_letters"]] == [
        ("t1", "out of memory"),
        ("t2", "out of memory"),
    ]
    assert (first["total"], count) == (2, 2)
    assert (len(done["redriven"]), done["left"], done["more"]) == (2, [], False)
    (message,) = await plane.queue.receive(wait_seconds=1)
    (low,) = await plane.low_queue.receive(wait_seconds=1)
    assert (message.attributes["runtime"], low.attributes["priority"]) == (plane.runtime, "low")
    assert "dead_letter_type" not in message.attributes
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.submission_id) == (Status.QUEUED, message.attributes["submission_id"])
    assert (await plane.dead_letters.read_attributes()).visible == 0


async def test_as_aws_lambda_does_it(letters: Plane) -> None:
    def work() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        handler = compose(environment(letters))
        query = {"runtime": letters.runtime}
        listed = handler(asked("GET", "/v1alpha2/dead-letters", query), None)
        told = handler(asked("GET", "/v1alpha2/runtimes"), None)
        body = {"runtime": letters.runtime, "all": True}
        done = handler(asked("POST", "/v1alpha2/dead-letters/redrive", None, body), None)
        return json.loads(listed["body"]), json.loads(told["body"]), json.loads(done["body"])

    first, told, done = await asyncio.to_thread(work)
    await check(letters, first, told["runtimes"][0]["dead_letters"], done)


async def test_as_the_gateway_does_it_and_two_who_look_at_once_see_the_same(letters: Plane) -> None:
    settings = read_front_door_settings(environment(letters))
    callers = decode_callers(settings.callers)
    ports = ports_of(letters.aws, settings)
    door = FrontDoor(
        Service(decode_catalogue(settings.runtimes), settings.bucket, callers),
        ports,
        clock=lambda: 1_800_000_000.0,
        new_submission_id=lambda: "s",
        callers=callers,
    )

    async def list_letters() -> dict[str, Any]:
        plan = {"method": "GET", "path": "/v1alpha2/dead-letters", "query": {"runtime": letters.runtime}}
        reply = await door.answer(HttpRequest(**plan, caller="boss"))
        decoded: dict[str, Any] = json.loads(reply.encode_body())
        return decoded

    first, second = await asyncio.gather(list_letters(), list_letters())
    assert first == second
    body = json.dumps({"runtime": letters.runtime, "type": "GenerationFailed"}).encode()
    request = HttpRequest(
        method="POST",
        path="/v1alpha2/dead-letters/redrive",
        content_type="application/json",
        body=body,
        caller="boss",
    )
    assert ports.dead_letters is not None
    count = await ports.dead_letters.count(letters.runtime)
    done = json.loads((await door.answer(request)).encode_body())
    await check(letters, first, count, done)
