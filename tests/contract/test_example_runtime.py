"""The example adapter keeps the contract, and Darkroom finds it by its entry point."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from darkroom.runtimes import registry
from darkroom.runtimes.contract import PATIENCE_SECONDS, RuntimeContract, RuntimeHarness
from darkroom.runtimes.protocol import GenerationRequest, InputFile, RuntimeContext
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.loopback import LoopbackServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "plain-http-runtime" / "plain_http_runtime.py"
LINK = "https://example.com/style.png"


def load_example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("plain_http_runtime", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


class PlainServer(LoopbackServer):
    """The server that the example's docstring describes."""

    def __init__(self) -> None:
        super().__init__()
        self.latency_seconds = 0.0
        self.fault = ""
        self.received = ""
        self.is_generating = False
        self._stopped = asyncio.Event()
        self._crash: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self.health),
            web.post("/generate", self.generate),
            web.post("/stop", self.stop_generating),
        ]

    async def health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def stop_generating(self, request: web.Request) -> web.StreamResponse:
        self._stopped.set()
        return web.Response()

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        self.received += await request.text()
        fault, self.fault = self.fault, ""
        if body["prompt"] == "forbidden":
            return web.Response(status=422, text="that prompt is not allowed")
        if fault == "fail":
            return web.Response(status=500, text="no memory left")
        self._stopped.clear()
        self.is_generating = True
        try:
            if fault == "crash":
                self._crash = asyncio.create_task(self.crash())
                await asyncio.sleep(60)
            try:
                limit = 60 if fault == "hang" else self.latency_seconds
                await asyncio.wait_for(self._stopped.wait(), limit)
            except TimeoutError:
                return web.Response(body=pictures.plain(0), content_type="image/png")
            return web.Response(status=409, text="stopped")
        finally:
            self.is_generating = False


class PlainHarness(RuntimeHarness):
    def __init__(self, server: PlainServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.runtime = load_example().PlainHttp(RuntimeContext(server.url, http))

    def request(self, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> GenerationRequest:
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, {"prompt": "a cat"}, timeout_seconds)

    def bad_request(self, task_id: str) -> GenerationRequest:
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, {"prompt": "forbidden"}, PATIENCE_SECONDS)

    def link_request(self, task_id: str) -> GenerationRequest:
        files = {LINK: InputFile(LINK, pictures.plain(0), "image/png", "png")}
        content = {"prompt": "a cat", "style": LINK}
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, content, PATIENCE_SECONDS, files)

    def received(self) -> str:
        return self.server.received

    def set_latency(self, seconds: float) -> None:
        self.server.latency_seconds = seconds

    def fail_next(self) -> None:
        self.server.fault = "fail"

    def hang_next(self) -> None:
        self.server.fault = "hang"

    def crash_next(self) -> None:
        self.server.fault = "crash"

    def is_generating(self) -> bool:
        return self.server.is_generating

    async def restart(self) -> None:
        await self.server.start()


class TestExampleRuntime(RuntimeContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[PlainHarness]:
        async with PlainServer() as server, aiohttp.ClientSession() as http:
            harness = PlainHarness(server, http)
            yield harness
            await harness.runtime.close()


async def test_the_example_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing the example would only write this entry point into the environment's metadata."""
    load_example()
    declared = EXAMPLE.with_name("pyproject.toml").read_text()
    point = EntryPoint("plainhttp", "plain_http_runtime:PlainHttp", registry.GROUP)
    assert f'[project.entry-points."{point.group}"]\n{point.name} = "{point.value}"' in declared
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]))
    async with aiohttp.ClientSession() as http:
        runtime = registry.create_runtime("plainhttp", RuntimeContext("localhost:9000", http))
    assert runtime.kinds == {TaskKind.TEXT_TO_IMAGE}
