"""What the gateway does itself, as Amazon API Gateway does on AWS: keys, throttling, sizes, and its documents."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
import uvicorn

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.openapi import RequestV1alpha1, RequestV1alpha2
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.errors import AwsUnavailable, SettingsError
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import SAMPLES, read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import MemoryBucket, MemoryCounts, MemoryRecords, MemoryTopic

KEY = {"x-api-key": "first"}
SAMPLE = read_sample("v1alpha2-text-to-image")


@dataclass
class Gateway:
    http: httpx.AsyncClient
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    now: float = 100.0


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    running = Gateway(httpx.AsyncClient())
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
        stage="prod",
        api_keys=("first", "second"),
    )
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(running.topic, MemoryBucket(), MemoryRecords()),
        clock=lambda: 0.0,
        new_submission_id=lambda: "id",
    )
    app = create_gateway(settings, front_door, monotonic=lambda: running.now)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        running.http = http
        yield running


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "First"}])
async def test_without_a_valid_key_nobody_gets_in(gateway: Gateway, headers: dict[str, str]) -> None:
    reply = await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers=headers)
    assert reply.status_code == 401
    assert "x-api-key" in reply.json()["message"]
    assert gateway.topic.messages == []


async def test_of_a_hundred_requests_at_once_fifty_pass(gateway: Gateway) -> None:
    replies = await asyncio.gather(*(gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers=KEY) for _ in range(100)))
    statuses = [reply.status_code for reply in replies]
    assert (statuses.count(200), statuses.count(429)) == (50, 50)
    assert {reply.headers["retry-after"] for reply in replies if reply.status_code == 429} == {"1"}
    other = await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers={"x-api-key": "second"})
    assert other.status_code == 200
    gateway.now += 1.0
    again = [(await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers=KEY)).status_code for _ in range(31)]
    assert (again.count(200), again[-1]) == (30, 429)


async def test_each_key_has_a_group_of_its_own(gateway: Gateway) -> None:
    for key in ("first", "second", "first"):
        reply = await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers={"x-api-key": key})
        assert reply.status_code == 200
    one, two, three = [message.group for message in gateway.topic.messages]
    assert one == three != two
    assert None not in (one, two)


async def test_a_content_length_that_lies_does_not_help(gateway: Gateway) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b" " * 1024 * 1024

    headers = {**KEY, "content-type": "application/json", "content-length": "10"}
    reply = await gateway.http.post("/prod/v1alpha2", content=body(), headers=headers)
    assert reply.status_code == 413


async def test_its_health_needs_no_key(gateway: Gateway) -> None:
    reply = await gateway.http.get("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/healthz", 405)])
async def test_outside_the_stage_errors_have_the_same_form(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    reply = await gateway.http.request(method, path)
    assert reply.status_code == status
    assert reply.json().keys() == {"message", "errors"}


async def test_the_openapi_document_describes_every_route_with_the_guides_samples(gateway: Gateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    assert document["paths"].keys() == {
        "/healthz",
        "/prod/v1alpha1",
        "/prod/v1alpha2",
        "/prod/v1alpha2/dead-letters",
        "/prod/v1alpha2/dead-letters/redrive",
        "/prod/v1alpha2/runtimes",
        "/prod/v1alpha2/events",
        "/prod/v1alpha2/tasks/{task_id}/events",
        "/prod/v1alpha2/tasks",
        "/prod/v1alpha2/tasks/{task_id}",
        "/prod/v1alpha2/tasks/{task_id}/cancel",
        "/prod/v1alpha2/uploads",
        "/prod/v1alpha2/usage",
        "/prod/v1alpha2/webhooks/deliveries",
        "/prod/v1alpha2/webhooks/deliveries/{delivery_id}/retry",
    }
    for version in ("v1alpha1", "v1alpha2"):
        media = document["paths"][f"/prod/{version}"]["post"]["requestBody"]["content"]["application/json"]
        for kind, example in media["examples"].items():
            assert example["value"] == read_sample(f"{version}-{kind}")
    text = json.dumps(document)
    for reference in (part.split('"')[0] for part in text.split("#/components/schemas/")[1:]):
        assert reference in document["components"]["schemas"], reference


@pytest.mark.parametrize("name", SAMPLES)
def test_the_documented_schemas_hold_for_the_samples(name: str) -> None:
    kind = RequestV1alpha1 if name.startswith("v1alpha1") else RequestV1alpha2
    assert msgspec.convert(read_sample(name), type=kind)


@pytest.mark.parametrize(
    ("path", "right"),
    [("/v1alpha2", "/prod/v1alpha2"), ("/v1alpha1", "/prod/v1alpha1"), ("/v1alpha2/tasks/a", "/prod/v1alpha2/tasks/a")],
)
async def test_a_url_without_the_stage_is_told_so(gateway: Gateway, path: str, right: str) -> None:
    reply = await gateway.http.post(path, json=SAMPLE, headers=KEY)
    assert reply.status_code == 404
    assert f"the stage is missing. Use {right}." in reply.json()["message"]


async def test_a_compressed_body_is_named(gateway: Gateway) -> None:
    headers = {**KEY, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(SAMPLE).encode())
    reply = await gateway.http.post("/prod/v1alpha2", content=body, headers=headers)
    assert reply.status_code == 415
    assert "'gzip'" in reply.json()["message"]
    reply = await gateway.http.post("/prod/v1alpha2", content=body, headers={**headers, "Content-Encoding": "identity"})
    assert (reply.status_code, reply.json()["errors"][0]["reason"]) == (
        400,
        "the request body is compressed (gzip); send it as it is",
    )


SHOP, LAB = {"x-api-key": "shops-key"}, {"x-api-key": "labs-key"}
CALLERS = json.dumps(
    [
        {"name": "shop", "key": "shops-key", "rateLimit": 5, "burstLimit": 3},
        {"name": "lab", "keySha256": hashlib.sha256(b"labs-key").hexdigest(), "monthlyTasks": 2},
    ]
)


@asynccontextmanager
async def with_callers(
    counts: MemoryCounts | None, records: MemoryRecords | None = None, *, now: float = 0.0
) -> AsyncIterator[Gateway]:
    running = Gateway(httpx.AsyncClient())
    callers = decode_callers(CALLERS)
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]", callers=CALLERS),
        stage="prod",
        api_keys=("first",),
    )
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(running.topic, MemoryBucket(), records or MemoryRecords(), counts),
        clock=lambda: now,
        new_submission_id=lambda: "id",
        callers=callers,
    )
    app = create_gateway(settings, front_door, monotonic=lambda: running.now, callers=callers)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        running.http = http
        yield running


async def test_each_caller_has_its_own_rate_and_burst_and_others_have_the_usual() -> None:
    async with with_callers(MemoryCounts()) as gateway:

        async def passed(key: dict[str, str], requests: int) -> int:
            replies = [await gateway.http.get("/prod/v1alpha2/tasks/nobody", headers=key) for _ in range(requests)]
            assert {reply.status_code for reply in replies} <= {404, 429}
            return sum(reply.status_code == 404 for reply in replies)

        assert [await passed(key, 60) for key in (SHOP, LAB, KEY)] == [3, 50, 50]
        gateway.now += 0.4
        assert await passed(SHOP, 10) == 2


async def test_names_stand_in_groups_messages_and_records() -> None:
    records = MemoryRecords()
    async with with_callers(MemoryCounts(), records) as gateway:
        for key, name in ((SHOP, "shop"), (LAB, "lab")):
            reply = await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers=key)
            assert reply.status_code == 200
            message = gateway.topic.messages[-1]
            assert (message.group, message.attributes["caller"]) == (name, name)
            assert records.records["test-t2i", name].caller == name
            assert "caller" not in (await gateway.http.get("/prod/v1alpha2/tasks/test-t2i", headers=key)).json()


async def test_a_months_tasks_are_counted_and_lookups_are_not(caplog: pytest.LogCaptureFixture) -> None:
    counts, end_of_november = MemoryCounts(), datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
    async with with_callers(counts, now=end_of_november) as gateway:

        async def submit(key: dict[str, str], **changes: object) -> httpx.Response:
            return await gateway.http.post("/prod/v1alpha2", json={**SAMPLE, **changes}, headers=key)

        assert (await submit(LAB, task={})).status_code == 400
        gateway.topic.failure = AwsUnavailable("publishing", "Throttled", "not now")
        assert (await submit(LAB)).status_code == 503
        gateway.topic.failure = None
        assert [(await submit(LAB)).status_code for _ in range(3)] == [200, 200, 429]
        for _ in range(3):
            assert (await gateway.http.get("/prod/v1alpha2/tasks/test-t2i", headers=LAB)).status_code == 200
        refused = await submit(LAB)
        assert "2 tasks of 2026-11" in refused.json()["message"]
        assert "2026-12-01 00:00 UTC" in refused.json()["message"]
        assert (await submit(SHOP)).status_code == 200
    assert len(gateway.topic.messages) == 3
    assert counts.counts == {("lab", "2026-11"): 2}
    assert "labs-key" not in caplog.text
    async with with_callers(counts, now=end_of_november + 1) as gateway:
        assert (await gateway.http.post("/prod/v1alpha2", json=SAMPLE, headers=LAB)).status_code == 200


async def test_what_was_accepted_is_still_returned_where_the_month_is_used_up() -> None:
    counts = MemoryCounts()
    async with with_callers(counts, now=1_800_000_000.0) as gateway:

        async def submit(task_id: str, on_duplicate: str) -> httpx.Response:
            metadata = {**SAMPLE["task"]["metadata"], "id": task_id, "on_duplicate": on_duplicate}
            request = {**SAMPLE, "task": {**SAMPLE["task"], "metadata": metadata}}
            return await gateway.http.post("/prod/v1alpha2", json=request, headers=LAB)

        first = await submit("a", "return")
        assert [first.status_code, (await submit("b", "new")).status_code] == [200, 200]
        again = await submit("a", "return")
        assert (again.status_code, again.json()) == (200, first.json())
        assert (await submit("a", "refuse")).status_code == 409
        assert [(await submit(*new)).status_code for new in (("a", "new"), ("c", "return"))] == [429, 429]
    assert len(gateway.topic.messages) == 2
    assert sum(counts.counts.values()) == 2


async def test_who_is_to_be_counted_needs_a_table() -> None:
    with pytest.raises(SettingsError, match="DARKROOM_TASK_TABLE"):
        async with with_callers(None):
            pass


async def test_a_client_that_goes_away_ends_its_wait(gateway: Gateway) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    class Forever:
        async def until_changed(self, record: TaskRecord, seconds: float) -> TaskRecord:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return record

    records = MemoryRecords()
    records.records["t", "caller"] = TaskRecord(id="t", submission_id="s", status=Status.QUEUED, runtime="r")
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
        stage="prod",
        api_keys=(),
    )
    callers = decode_callers('[{"name": "caller", "key": "k"}]')
    door = FrontDoor(
        Service(Catalogue([]), "b"),
        Ports(MemoryTopic(), MemoryBucket(), records),
        clock=lambda: 0.0,
        new_submission_id=lambda: "id",
        waiter=Forever(),
    )
    app = create_gateway(settings, door, monotonic=lambda: 0.0, callers=callers)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"GET /prod/v1alpha2/tasks/t?wait=20 HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: k\r\n\r\n")
            await began.wait()
            writer.close()
            await ended.wait()
    finally:
        server.should_exit = True
        await serving
