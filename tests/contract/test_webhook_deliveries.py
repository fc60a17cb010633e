"""What became of webhooks, at both doors: one's own deliveries, page by page, and sent once more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.errors import AwsUnavailable
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.webhook import DeliveryStatus, WebhookDelivery
from darkroom.testing.front_door_ports import (
    MemoryBucket,
    MemoryDeliveries,
    MemoryQueue,
    MemoryRecords,
    MemoryTopic,
)

NOW = 1_800_000_000.0
PATH = "/v1alpha2/webhooks/deliveries"


@dataclass
class Door:
    send: Callable[[str, str], Awaitable[tuple[int, Any]]]
    deliveries: MemoryDeliveries
    queue: MemoryQueue
    caller: str

    def add(self, number: int, caller: str | None = None, **changes: Any) -> WebhookDelivery:
        made = WebhookDelivery(
            id=f"msg_{number:04d}",
            caller=self.caller if caller is None else caller,
            task_id=f"t{number}",
            submission_id=f"s{number}",
            event="task.completed",
            url="https://example.com/hook",
            body='{"secret": "of the body"}',
            status=DeliveryStatus.FAILED,
            created_at=NOW - 1000 + number,
            updated_at=NOW - 500,
            attempts=10,
            last_status=500,
            last_error="the receiver answered 500",
        )
        made = msgspec.structs.replace(made, **changes)
        self.deliveries.deliveries[made.id] = made
        return made


@pytest.fixture(params=["lambda", "gateway"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    deliveries, queue = MemoryDeliveries(), MemoryQueue()
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui", dynamic=True)]), "bucket"),
        Ports(MemoryTopic(), MemoryBucket(), MemoryRecords(), deliveries=deliveries, webhook_queue=queue),
        clock=lambda: NOW,
        new_submission_id=lambda: "s",
    )
    if request.param == "lambda":
        handler = create_handler(front_door)

        async def invoke(method: str, path: str) -> tuple[int, Any]:
            parts = urlsplit(path)
            reply = handler(
                {
                    "httpMethod": method,
                    "path": parts.path,
                    "queryStringParameters": dict(parse_qsl(parts.query)) or None,
                    "requestContext": {"identity": {"apiKeyId": "a1b2c3d4e5"}},
                },
                None,
            )
            return reply["statusCode"], json.loads(reply["body"])

        yield Door(invoke, deliveries, queue, "a1b2c3d4e5")
        return
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="bucket", runtimes="[]"),
        stage="prod",
        api_keys=("secret",),
    )
    transport = httpx.ASGITransport(create_gateway(settings, front_door, monotonic=lambda: 0.0))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1/prod", headers={"x-api-key": "secret"}
    ) as http:

        async def send(method: str, path: str) -> tuple[int, Any]:
            reply = await http.request(method, path.lstrip("/"))
            return reply.status_code, reply.json()

        yield Door(send, deliveries, queue, sha256(b"secret").hexdigest()[:16])


async def test_ones_own_deliveries_are_listed_the_newest_first_and_nobody_elses(door: Door) -> None:
    door.add(1)
    door.add(2, status=DeliveryStatus.PENDING, next_try_at=NOW + 30)
    door.add(3, caller="another")
    status, page = await door.send("GET", PATH)
    assert status == 200
    assert page == {
        "deliveries": [
            {
                "id": "msg_0002",
                "task_id": "t2",
                "event": "task.completed",
                "url": "https://example.com/hook",
                "status": "pending",
                "attempts": 10,
                "created_at": "2027-01-15T07:43:22Z",
                "updated_at": "2027-01-15T07:51:40Z",
                "next_try_at": "2027-01-15T08:00:30Z",
                "last_status": 500,
                "last_error": "the receiver answered 500",
            },
            page["deliveries"][1],
        ]
    }
    assert page["deliveries"][1]["id"] == "msg_0001"


async def test_pages_lead_from_one_to_the_next_until_there_are_none(door: Door) -> None:
    for number in range(25):
        door.add(number, status=DeliveryStatus.DELIVERED if number % 2 else DeliveryStatus.FAILED)
    found, query = [], "?limit=10&status=failed"
    for _ in range(5):
        status, page = await door.send("GET", PATH + query)
        assert status == 200
        found += [one["id"] for one in page["deliveries"]]
        if "next" not in page:
            break
        query = f"?limit=10&status=failed&next={page['next']}"
    assert found == [f"msg_{number:04d}" for number in range(24, -1, -2)]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("status=lost", "status"),
        ("next=1", "next"),
        ("since=0", "since"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(door: Door, query: str, path: str) -> None:
    status, reply = await door.send("GET", f"{PATH}?{query}")
    assert (status, [fault["path"] for fault in reply["errors"]]) == (400, [path])


@pytest.mark.parametrize("ended", [DeliveryStatus.FAILED, DeliveryStatus.GONE, DeliveryStatus.DELIVERED])
async def test_a_delivery_that_has_ended_is_sent_again(door: Door, ended: DeliveryStatus) -> None:
    door.add(1, status=ended)
    status, view = await door.send("POST", f"{PATH}/msg_0001/retry")
    assert (status, view["status"], view["attempts"]) == (202, "pending", 0)
    assert door.queue.messages == [("{}", {"webhook_delivery": "msg_0001"})]
    status, reply = await door.send("POST", f"{PATH}/msg_0001/retry")
    assert status == 409, reply
    assert len(door.queue.messages) == 1


async def test_one_whose_message_was_lost_can_be_sent_again_too(door: Door) -> None:
    door.add(1, status=DeliveryStatus.PENDING, next_try_at=NOW - 7200)
    assert (await door.send("POST", f"{PATH}/msg_0001/retry"))[0] == 202


async def test_nobody_sends_anothers_again_or_learns_of_it(door: Door) -> None:
    door.add(1, caller="another")
    theirs = await door.send("POST", f"{PATH}/msg_0001/retry")
    none = await door.send("POST", f"{PATH}/msg_0002/retry")
    assert theirs[0] == none[0] == 404
    assert theirs[1]["message"].replace("0001", "0002") == none[1]["message"]
    assert (await door.send("POST", f"{PATH}/%2F..%2F/retry"))[0] == 404
    assert door.queue.messages == []


async def test_where_the_queue_is_away_nothing_has_changed(door: Door) -> None:
    before = door.add(1)
    door.queue.failure = AwsUnavailable("away")
    assert (await door.send("POST", f"{PATH}/msg_0001/retry"))[0] == 503
    assert door.deliveries.deliveries == {"msg_0001": before}


async def test_other_methods_are_refused(door: Door) -> None:
    assert (await door.send("POST", PATH))[0] == 405
    assert (await door.send("GET", f"{PATH}/msg_0001/retry"))[0] == 405
