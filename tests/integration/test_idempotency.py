"""One submission for one key, whatever is lost, however many try at once: against the emulator's own DynamoDB."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import msgspec

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.aws.idempotency import IdempotencyKeys
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import read_sample
from darkroom.tasks.idempotency import Answered, Claim, InWork, Mine, OtherRequest
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import MemoryBucket, MemoryTopic
from tests.integration.conftest import Plane

NOW = 1_800_000_000.0


def keys_of(plane: Plane) -> IdempotencyKeys:
    return plane.aws.idempotency_keys(plane.provisioned.table)


async def test_a_key_goes_from_claimed_to_answered_and_is_its_callers(plane: Plane) -> None:
    keys = keys_of(plane)
    assert await keys.claim("shop", "k", "d1", "s1", NOW) == Mine("s1")
    assert await keys.claim("shop", "k", "d1", "s2", NOW + 1) == InWork()
    assert await keys.claim("shop", "k", "d2", "s2", NOW + 1) == OtherRequest()
    assert await keys.claim("lab", "k", "d2", "s3", NOW + 1) == Mine("s3")
    await keys.answer("shop", "k", "s1", '{"id": "t1"}')
    assert await keys.claim("shop", "k", "d1", "s4", NOW + 2) == Answered('{"id": "t1"}')
    await keys.give_up("shop", "k", "s1")  # too late
    assert await keys.claim("shop", "k", "d1", "s4", NOW + 2) == Answered('{"id": "t1"}')
    assert await keys.claim("shop", "k", "d9", "s5", NOW + 24 * 3600 + 1) == Mine("s5")


async def test_whoever_takes_a_claim_over_goes_on_as_the_same_submission(plane: Plane) -> None:
    keys = keys_of(plane)
    await keys.claim("shop", "k", "d1", "s1", NOW)
    assert await keys.claim("shop", "k", "d1", "s2", NOW + 61) == Mine("s1")
    assert await keys.claim("shop", "k", "d1", "s3", NOW + 62) == InWork()
    await keys.give_up("shop", "k", "s1")
    assert await keys.claim("shop", "k", "d1", "s4", NOW + 63) == Mine("s1")


async def test_of_many_at_once_one_has_the_key(plane: Plane) -> None:
    keys = keys_of(plane)
    claims: list[Claim] = await asyncio.gather(
        *(keys.claim("shop", "k", "d1", f"s{number}", NOW + number / 1000) for number in range(20))
    )
    assert sum(isinstance(claim, Mine) for claim in claims) == 1
    assert sum(isinstance(claim, InWork) for claim in claims) == 19


def door_of(plane: Plane, topic: MemoryTopic) -> FrontDoor:
    name = plane.provisioned.table
    return FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(topic, MemoryBucket(), plane.aws.task_table(name), keys=keys_of(plane)),
        clock=lambda: NOW,
        new_submission_id=lambda: uuid.uuid4().hex,
    )


async def test_twenty_tries_of_one_submit_over_a_door_whose_answers_are_cut_are_one_task(plane: Plane) -> None:
    topic = MemoryTopic()
    door = door_of(plane, topic)
    body = json.dumps(read_sample("v1alpha2-text-to-image")).encode()
    request = HttpRequest(
        method="POST",
        path="/v1alpha2",
        content_type="application/json",
        body=body,
        idempotency_key='"one"',
        caller="shop",
    )

    async def until_answered(number: int) -> Any:
        for attempt in range(50):
            reply: HttpReply = await door.answer(request)
            if reply.status == 200 and (attempt > 0 or number % 2):  # the first answers of every second one are cut
                return msgspec.json.decode(reply.encode_body())
            assert reply.status in (200, 409)
            await asyncio.sleep(0.01)
        raise AssertionError("never answered")

    replies = await asyncio.gather(*(until_answered(number) for number in range(20)))
    assert len(topic.messages) == 1
    assert all(reply == replies[0] for reply in replies)


async def test_of_many_submissions_of_one_id_that_want_no_second_task_one_is_done(plane: Plane) -> None:
    topic = MemoryTopic()
    door = door_of(plane, topic)
    document = read_sample("v1alpha2-text-to-image")
    document["task"]["metadata"]["on_duplicate"] = "return"
    request = HttpRequest(
        method="POST",
        path="/v1alpha2",
        content_type="application/json",
        body=json.dumps(document).encode(),
        caller="shop",
    )
    replies = await asyncio.gather(*(door.answer(request) for _ in range(10)))
    assert [reply.status for reply in replies] == [200] * 10
    assert len(topic.messages) == 1
    record = await plane.aws.task_table(plane.provisioned.table).get("test-t2i", "shop")
    assert record is not None
    assert record.submission_id == topic.messages[0].attributes["submission_id"]


async def test_a_submission_that_was_withdrawn_and_comes_again_counts_again(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    record = TaskRecord(
        id="t1", submission_id="s1", status=Status.QUEUED, runtime="r", created_at=NOW, updated_at=NOW, caller="shop"
    )
    await table.put(record)
    await table.withdraw("t1", "s1", "shop")
    assert await table.get("t1", "shop") is None
    await table.put(record)
    assert await table.get("t1", "shop") == record
