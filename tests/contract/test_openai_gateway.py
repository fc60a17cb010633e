"""What only the gateway does of OpenAI's API: keys, limits, places for those who wait, clients that go away."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import tracemalloc
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.openai_door import DoorLimits, OpenAiDoor
from darkroom.api.openai_waiting import EventLoop, Pace, Places
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.openai.models import Models
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.record import TaskRecord
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

BODY = {"prompt": "a cat"}
KEY = {"Authorization": "Bearer secret"}
GENERATIONS = "/v1/images/generations"


class Gateway:
    """The gateway as an app, in front of a table in which no task ever ends."""

    def __init__(self, most_waiting: int = 4, burst: int = 50, stage: str = "prod") -> None:
        self.topic, self.records = MemoryTopic(), MemoryRecords()
        catalogue = Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")])
        ports = Ports(self.topic, MemoryBucket("b"), self.records)
        limits = DoorLimits(
            patience_seconds=60.0,
            reply_bytes=1_000_000,
            most_waiting=most_waiting,
            streams=True,
            pace=Pace(0.01, 0.01),
        )
        ids = iter(range(1000))

        async def pause(seconds: float) -> bool:
            await asyncio.sleep(seconds)
            return True

        self.door = OpenAiDoor(
            catalogue,
            Models(catalogue, {}),
            ports,
            limits,
            clock=lambda: 0.0,
            monotonic=asyncio.get_running_loop().time,
            new_submission_id=lambda: f"submission-{next(ids)}",
            new_seed=lambda: 1,
            callers=Callers(),
            loop=EventLoop(pause, asyncio.to_thread, asyncio.Semaphore(1)),
        )
        settings = GatewaySettings(
            aws=AwsSettings(region="eu-west-1"),
            front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
            stage=stage,
            api_keys=("secret", "other"),
            rate_limit=0.001,
            burst_limit=burst,
        )
        front_door = FrontDoor(Service(catalogue, "b"), ports, clock=lambda: 0.0, new_submission_id=lambda: "x")
        self.app: FastAPI = create_gateway(settings, front_door, monotonic=lambda: 0.0, openai=self.door)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1")

    @property
    def waiting(self) -> int:
        return self.door.places.taken.total()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


async def connect(
    app: FastAPI, body: Any, path: str = GENERATIONS, content_type: str = "application/json"
) -> tuple[asyncio.Task[None], asyncio.Event, list[Any]]:
    """Send a request as a server does that knows when the client goes: the event says that it has."""
    gone, sent = asyncio.Event(), []
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages = [{"type": "http.request", "body": encoded, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    return asyncio.create_task(app(await scope_of(path, content_type), receive, send)), gone, sent


async def scope_of(path: str, content_type: str) -> dict[str, Any]:
    headers = [(b"authorization", b"Bearer secret"), (b"content-type", content_type.encode())]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("gateway", 80),
    }  # fmt: skip


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}])
async def test_without_a_key_the_error_is_openais(headers: dict[str, str]) -> None:
    reply = await Gateway().http.post(GENERATIONS, json=BODY, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "invalid_api_key"


async def test_our_own_header_will_do_and_a_bearer_key_opens_nothing_else() -> None:
    http = Gateway().http
    assert (await http.get("/v1/models", headers={"x-api-key": "secret"})).status_code == 200
    reply = await http.get("/prod/v1alpha2/tasks/x", headers=KEY)
    assert reply.status_code == 401
    assert "errors" in reply.json()


async def test_too_many_requests_are_told_in_openais_form() -> None:
    http = Gateway(burst=1).http
    assert (await http.get("/v1/models", headers=KEY)).status_code == 200
    reply = await http.get("/v1/models", headers=KEY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(reply.headers["retry-after"]) > 0
    assert "x-should-retry" not in reply.headers


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/prod/v1/nothing"])
async def test_where_there_is_nothing_the_error_is_openais(path: str) -> None:
    reply = await Gateway().http.post(path, headers=KEY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


async def test_a_fault_of_our_own_is_told_in_openais_form(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()

    async def broken(*_: object) -> None:
        raise ValueError("a secret detail")

    gateway.door.begin = broken  # type: ignore[method-assign,assignment]
    transport = httpx.ASGITransport(gateway.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        for path in ("/v1/models", "/prod/v1/models"):
            reply = await http.get(path, headers=KEY)
            assert (reply.status_code, reply.json()["error"]["type"]) == (500, "server_error")
            assert "secret" not in reply.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_gives_its_place_back_and_its_task_goes_on(stream: bool) -> None:
    gateway = Gateway()
    serving, gone, sent = await connect(gateway.app, {**BODY, "stream": stream})
    await until(lambda: gateway.topic.messages and (sent or not stream))
    assert gateway.waiting == 1
    gone.set()
    await until(lambda: gateway.waiting == 0)
    await serving
    assert len(gateway.topic.messages) == 1


async def test_a_stream_that_never_began_gives_its_place_back() -> None:
    gateway = Gateway()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps({**BODY, "stream": True}).encode(), "more_body": False}

    async def send(_message: Any) -> None:
        raise OSError("the connection is gone")

    scope = await scope_of(GENERATIONS, "application/json")
    with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever the server's own is
        await gateway.app({**scope, "asgi": {"version": "3.0", "spec_version": "2.4"}}, receive, send)
    assert len(gateway.topic.messages) == 1
    assert gateway.waiting == 0


async def test_no_more_wait_than_there_are_places_and_one_caller_takes_half_of_them() -> None:
    gateway = Gateway(most_waiting=4)
    clients = [await connect(gateway.app, {"prompt": f"cat {number}"}) for number in range(2)]
    await until(lambda: gateway.waiting == 2)
    reply = await gateway.http.post(GENERATIONS, json=BODY, headers=KEY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "too_many_waiting")
    assert int(reply.headers["retry-after"]) > 0
    assert len(gateway.topic.messages) == 2
    other = asyncio.create_task(
        gateway.http.post(GENERATIONS, json=BODY, headers={"Authorization": "Bearer other"}, timeout=60)
    )
    await until(lambda: gateway.waiting == 3)
    other.cancel()
    for serving, gone, _ in clients:
        gone.set()
        await serving
    await until(lambda: gateway.waiting == 0)


async def test_who_waits_holds_nothing_of_its_pictures() -> None:
    gateway = Gateway(most_waiting=100)
    picture = png_of(4_000_000)
    tracemalloc.start()
    try:
        clients = []
        for number in range(10):
            form = httpx.Request(
                "POST", "http://x/", data={"prompt": f"cat {number}"}, files={"image": ("x", picture, "image/png")}
            )
            clients.append(await connect(gateway.app, form.read(), "/v1/images/edits", form.headers["content-type"]))
            await until(lambda: gateway.waiting == len(clients))
            del form
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * len(picture)  # one in the bucket in memory, and what was here before
    for serving, gone, _ in clients:
        gone.set()
        await serving


@pytest.mark.parametrize("stage", ["v1", "prod"])
async def test_a_stage_of_any_name_keeps_our_own_api(stage: str) -> None:
    http = Gateway(stage=stage).http
    ours = await http.get(f"/{stage}/v1alpha2/tasks/nobody", headers={"x-api-key": "secret"})
    assert (ours.status_code, "message" in ours.json()) == (404, True)
    assert (await http.get(f"/{stage}/v1/models", headers=KEY)).status_code == 200


def png_of(size: int) -> bytes:
    """A picture of so many bytes, which nobody has to decode."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "png")
    return buffer.getvalue() + bytes(size - buffer.tell())


def test_a_place_is_given_back_once() -> None:
    places = Places(1)
    place = places.take("shop")
    assert place is not None
    assert places.take("lab") is None
    place.give_back()
    place.give_back()
    assert places.taken["shop"] == 0
    assert places.take("lab") is not None


async def test_twenty_retries_at_once_of_a_first_try_that_never_arrived_are_one_submission() -> None:
    gateway = Gateway(most_waiting=100)
    slow = gateway.records.get

    async def get(task_id: str, caller: str) -> TaskRecord | None:
        found = await slow(task_id, caller)
        await asyncio.sleep(0.02)  # so that all have looked before the first one writes
        return found

    gateway.records.get = get  # type: ignore[method-assign]
    tasks = [
        asyncio.create_task(
            gateway.http.post(GENERATIONS, json=BODY, headers={**KEY, "x-stainless-retry-count": "1"}, timeout=60)
        )
        for _ in range(20)
    ]
    await until(lambda: gateway.waiting == 20 and len(gateway.topic.messages) == 20)
    assert len({message.attributes["submission_id"] for message in gateway.topic.messages}) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_document_has_the_routes_and_their_errors() -> None:
    document = (await Gateway().http.get("/openapi.json")).json()
    routes = {path for path in document["paths"] if "/v1/" in path}
    assert routes == {
        "/prod/v1/images/generations", "/prod/v1/images/edits", "/prod/v1/models", "/prod/v1/models/{model}",
    }  # fmt: skip
    references = set()
    json.loads(json.dumps(document), object_hook=lambda found: references.add(found.get("$ref")) or found)
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references - {None} <= defined
    assert {"Bearer", "ApiKey"} <= document["components"]["securitySchemes"].keys()
