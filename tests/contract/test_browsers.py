"""Web pages at a gateway, and limits: who may ask from where, and what asking uses up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import msgspec
import pytest
from tests.contract.doors import CALLERS, RUNTIMES

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.policy.hosts import Hosts
from darkroom.policy.origins import Origins
from darkroom.samples import read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

KEY = {"x-api-key": "key-shop"}
SAMPLE = read_sample("v1alpha2-text-to-image")
PAGE = "https://studio.example"
Opened = AbstractAsyncContextManager[httpx.AsyncClient]


def front_door(topic: MemoryTopic) -> FrontDoor:
    return FrontDoor(
        Service(RUNTIMES, "b", CALLERS),
        Ports(topic, MemoryBucket(), MemoryRecords()),
        clock=lambda: 0.0,
        new_submission_id=lambda: "id",
        callers=CALLERS,
    )


@asynccontextmanager
async def gateway(topic: MemoryTopic | None = None, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    given = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]", cors_origins=(PAGE,)),
        stage="prod",
        api_keys=(),
        rate_limit=1,
        burst_limit=3,
    )
    given = msgspec.structs.replace(given, **settings)
    app = create_gateway(given, front_door(topic or MemoryTopic()), monotonic=lambda: 0.0, callers=CALLERS)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", headers=KEY
    ) as http:
        yield http


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "169.254.1.1", "["])
async def test_a_name_that_suddenly_leads_here_is_not_answered(host: str) -> None:
    topic = MemoryTopic()
    async with gateway(topic) as http:
        for method, path in (("POST", "/prod/v1alpha2"), ("GET", "/prod/v1alpha2/tasks/x"), ("GET", "/healthz")):
            reply = await http.request(method, path, json=SAMPLE, headers={"Host": host})
            assert (reply.status_code, "DARKROOM_ALLOWED_HOSTS" in reply.json()["message"]) == (403, True)
    assert topic.messages == []


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
async def test_this_machines_own_names_are(host: str) -> None:
    async with gateway() as http:
        assert (await http.get("/healthz", headers={"Host": host})).status_code == 200


def test_elsewhere_names_are_what_the_operator_says() -> None:
    assert Hosts((), "0.0.0.0").allow("anything.example")  # noqa: S104
    named = Hosts(("pictures.example",), "127.0.0.1")
    assert named.allow("Pictures.example:443")
    assert not named.allow("localhost")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{PAGE}.evil.example", "http://127.0.0.1:9000"])
async def test_a_page_that_may_not_ask_gets_nothing_done(origin: str) -> None:
    topic = MemoryTopic()
    async with gateway(topic) as http:
        for method in ("POST", "GET", "OPTIONS", "PUT"):
            reply = await http.request(method, "/prod/v1alpha2", json=SAMPLE, headers={"Origin": origin})
            assert reply.status_code == 403
            assert "access-control-allow-origin" not in reply.headers
    assert topic.messages == []


async def test_a_page_that_may_ask_is_told_so_without_a_key_and_reads_every_answer() -> None:
    async with gateway() as http:
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "x-api-key": ""}
        preflight = await http.options("/prod/v1alpha2", headers=asks)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        allowed = preflight.headers["access-control-allow-headers"]
        assert {"x-api-key", "authorization", "idempotency-key", "last-event-id", "*"} <= set(allowed.split(", "))
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in preflight.headers
        for headers, status in (({}, 200), ({"x-api-key": "wrong"}, 401)):
            reply = await http.post("/prod/v1alpha2", json=SAMPLE, headers={"Origin": PAGE, **headers})
            assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (status, PAGE)
            assert "retry-after" in reply.headers["access-control-expose-headers"]
            assert reply.headers["vary"] == "Origin"
        same = await http.get("/healthz", headers={"Origin": "http://127.0.0.1:8000"})
        assert same.status_code == 200


async def test_reading_and_cancelling_uses_up_nothing_of_submitting() -> None:
    async with gateway() as http:
        asked = await asyncio.gather(*(http.get("/prod/v1alpha2/tasks/none") for _ in range(5)))
        assert [reply.status_code for reply in asked] == [404, 404, 404, 429, 429]
        assert (await http.put("/prod/v1alpha2/tasks/none/cancel")).status_code == 429
        sent = [await http.post("/prod/v1alpha2", json=SAMPLE) for _ in range(4)]
        assert [reply.status_code for reply in sent] == [200, 200, 200, 429]


async def test_each_answer_says_what_is_left_of_which_limit() -> None:
    async with gateway() as http:
        replies = [await http.post("/prod/v1alpha2", json=SAMPLE) for _ in range(4)]
        assert {reply.headers["ratelimit-policy"] for reply in replies} == {'"submit";q=3;w=3'}
        assert [reply.headers["ratelimit"] for reply in replies] == [
            '"submit";r=2;t=1',
            '"submit";r=1;t=2',
            '"submit";r=0;t=3',
            '"submit";r=0;t=1',
        ]
        assert (await http.get("/prod/v1alpha2/tasks/x")).headers["ratelimit"] == '"read";r=2;t=1'
        assert "ratelimit" not in (await http.get("/healthz")).headers


@pytest.mark.parametrize(
    ("origin", "told"), [(PAGE, PAGE), ("https://evil.example", None), ("", None)], ids=["ours", "another", "none"]
)
def test_behind_api_gateway_only_our_pages_may_read_the_answers(origin: str, told: str | None) -> None:
    handler: Callable[..., dict[str, object]] = create_handler(
        front_door(MemoryTopic()), CALLERS, None, Origins((PAGE,))
    )
    event = {
        "httpMethod": "GET",
        "path": "/v1alpha2/tasks/x",
        "headers": {"Origin": origin} if origin else None,
        "requestContext": {"identity": {"apiKeyId": "id-shop"}},
    }
    headers = handler(event, None)["headers"]
    assert isinstance(headers, dict)
    assert headers.get("Access-Control-Allow-Origin") == told
