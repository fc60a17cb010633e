"""Both doors over one front door whose ports are in memory, with several callers: what tests of reading go through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.api.shared_waiting import SharedWaiter
from darkroom.api.waiting import AloneWaiter
from darkroom.openai.options import OpenAiOptions
from darkroom.policy.callers import Callers, CallerSpec
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTaskLists, MemoryTopic

DOORS = ("lambda", "gateway")
NOW = 1_800_000_000.0
CALLERS = Callers(
    [
        CallerSpec(name="shop", id="id-shop", key="key-shop"),
        CallerSpec(name="lab", id="id-lab", key="key-lab"),
        CallerSpec(name="boss", id="id-boss", key="key-boss", role="operator"),
    ]
)
RUNTIMES = Catalogue(
    [
        RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors", low_priority=True),
        RuntimeSpec(name="comfy", type="comfyui"),
    ]
)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Doors:
    """One door; `send` takes the caller's name, the method, the path with its query, and a document."""

    kind: str
    send: Callable[..., Awaitable[Reply]]
    topic: MemoryTopic
    bucket: MemoryBucket
    records: MemoryRecords
    lists: MemoryTaskLists
    clock: list[float]
    # Has something happen after so many seconds: at the gateway, tenths of seconds.
    after: Callable[[float, Callable[[], Any]], None]

    async def get(self, path: str, caller: str = "shop") -> Reply:
        return await self.send(caller, "GET", path)

    async def submit(self, task_id: str = "t1", caller: str = "shop") -> Reply:
        sample = read_sample("v1alpha2-text-to-image")
        sample["task"]["metadata"]["id"] = task_id
        return await self.send(caller, "POST", "/v1alpha2", sample)

    def keep(self, task_id: str, caller: str = "shop", **fields: Any) -> TaskRecord:
        """Have a record there, as an agent may have left it."""
        given = {"submission_id": f"s-{caller}-{task_id}", "status": Status.QUEUED, "runtime": "sdruntime"}
        times = {"created_at": self.clock[0], "updated_at": self.clock[0]}
        record = TaskRecord(id=task_id, caller=caller, **{**given, **times, **fields})
        self.records.records[task_id, caller] = record
        return record


@asynccontextmanager
async def opened(kind: str, options: OpenAiOptions | None = None, **ports: Any) -> AsyncIterator[Doors]:
    """A door of this kind; `options` are said of its runtimes, `ports` are beside topic, bucket, records and lists."""
    topic, bucket, records = MemoryTopic(), MemoryBucket("outputbucket"), MemoryRecords()
    lists = MemoryTaskLists(records)
    clock = [NOW]
    ids = iter(range(100_000))
    hours = Hours()
    waiter = SharedWaiter(records, time.monotonic) if kind == "gateway" else hours.waiter(records)
    front_door = FrontDoor(
        Service(RUNTIMES, "outputbucket", CALLERS),
        Ports(topic=topic, bucket=bucket, records=records, lists=lists, **ports),
        clock=lambda: clock[0],
        new_submission_id=lambda: f"submission-{next(ids)}",
        callers=CALLERS,
        waiter=waiter,
        options=options or {},
    )
    if kind == "lambda":
        yield Doors(kind, _through_lambda(front_door), topic, bucket, records, lists, clock, hours.after)
        return
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="outputbucket", runtimes="[]"),
        stage="prod",
        api_keys=(),
        rate_limit=100_000,
        burst_limit=100_000,
    )
    app = create_gateway(settings, front_door, monotonic=lambda: 0.0, callers=CALLERS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1/prod") as http:
        yield Doors(kind, _through_gateway(http), topic, bucket, records, lists, clock, _soon)


def _through_gateway(http: httpx.AsyncClient) -> Callable[..., Awaitable[Reply]]:
    async def send(caller: str, method: str, path: str, document: Any = None, headers: Any = None) -> Reply:
        sent = {"x-api-key": f"key-{caller}", **(headers or {})}
        reply = await http.request(method, f"/{path.lstrip('/')}", headers=sent, json=document)
        return Reply(reply.status_code, dict(reply.headers), reply.json())

    return send


def _soon(seconds: float, change: Callable[[], Any]) -> None:
    asyncio.get_running_loop().call_later(seconds / 10, change)


class Hours:
    """Time that passes by sleeping alone, as a coroutine that never suspends, and what is to happen at which hour."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._changes: list[tuple[float, Callable[[], Any]]] = []

    def after(self, seconds: float, change: Callable[[], Any]) -> None:
        self._changes.append((self.passed + seconds, change))

    def waiter(self, records: MemoryRecords) -> AloneWaiter:
        return AloneWaiter(records, self._sleep, lambda: self.passed)

    async def _sleep(self, seconds: float) -> None:
        self.passed += seconds
        for due in [due for due in self._changes if due[0] <= self.passed]:
            self._changes.remove(due)
            due[1]()


def _through_lambda(front_door: FrontDoor) -> Callable[..., Awaitable[Reply]]:
    handler = create_handler(front_door, CALLERS)

    async def send(caller: str, method: str, path: str, document: Any = None, headers: Any = None) -> Reply:
        parts = urlsplit(path)
        event = {
            "httpMethod": method,
            "path": parts.path,
            "headers": {"content-type": "application/json", **(headers or {})},
            "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)) or None,
            "body": None if document is None else json.dumps(document),
            "requestContext": {"identity": {"apiKeyId": f"id-{caller}"}},
        }
        reply = json.loads(json.dumps(handler(event, None)))
        lower = {name.lower(): value for name, value in reply["headers"].items()}
        return Reply(reply["statusCode"], lower, json.loads(reply["body"]))

    return send
