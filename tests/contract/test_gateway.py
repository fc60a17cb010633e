"""What the gateway does itself, as Amazon API Gateway does on AWS: keys, throttling, sizes, and its documents."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.openapi import RequestV1alpha1, RequestV1alpha2
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import SAMPLES, read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

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
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
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
        "/prod/v1alpha2/tasks/{task_id}",
        "/prod/v1alpha2/tasks/{task_id}/cancel",
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
