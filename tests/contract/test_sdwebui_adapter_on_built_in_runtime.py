"""The SD Web UI adapter keeps its contract against the built-in runtime too: the real server, with the real model.

Only the faults are arranged: an engine that waits, fails or takes its server down when the suite asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import uvicorn
from PIL import Image
from starlette.types import Message, Receive, Scope, Send

from darkroom.inference.app import create_app
from darkroom.inference.engine import Generation, Watch
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling
from darkroom.runtimes.contract import PATIENCE_SECONDS, RuntimeContract, RuntimeHarness, generate
from darkroom.runtimes.protocol import GenerationRequest, InputFile, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.runtimes.sdwebui.door import Timings
from darkroom.runtimes.sdwebui.response import read_information
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures

pytestmark = pytest.mark.slow


LINK = "https://example.com/cat.png"


class MisbehavingEngine(PocketEngine):
    """The pocket engine with a dial for latency and three faults. Its pictures are the real ones."""

    def __init__(self, server: BuiltInRuntime) -> None:
        super().__init__(threads=1)
        self._server = server
        self.latency = 0.0
        self.fault: str | None = None
        #: How many generations have begun here: a job on the device may still be on its way to the engine.
        self.begun = 0
        self.ended = 0

    def generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        fault, self.fault = self.fault, None
        self.begun += 1
        try:
            return self._generate(fault, generation, watch)
        finally:
            self.ended += 1

    def _generate(self, fault: str | None, generation: Generation, watch: Watch) -> list[Image.Image]:
        if fault == "fail":
            raise RuntimeError("a fault of the engine's own")
        if fault == "crash":
            self._server.die()
            raise RuntimeError("the server is gone")
        until = time.monotonic() + (PATIENCE_SECONDS if fault == "hang" else self.latency)
        while time.monotonic() < until and watch.step(0, generation.steps):
            time.sleep(0.005)
        return super().generate(generation, watch)


class Server(uvicorn.Server):
    """It leaves Ctrl-C to whoever runs it: when two overlap, uvicorn's own handler would stay for ever."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BuiltInRuntime:
    """The server on a free port of loopback, in the test's own loop. Remembers what it was sent."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.received: list[str] = []
        self._loop = asyncio.get_running_loop()
        self.url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self.engine = MisbehavingEngine(self)
        self.service = Service(self.engine, Upscaling(None, SpandrelScaler()))
        app = create_app(self.service)

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            async def listening() -> Message:
                message = await receive()
                self.received.append(message.get("body", b"").decode(errors="replace"))
                return message

            await app(scope, listening, send)

        config = uvicorn.Config(recording, host="127.0.0.1", port=self._port, log_level="critical")
        self._server = Server(config)
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._server.started:  # noqa: ASYNC110 - uvicorn has a flag, no event
                await asyncio.sleep(0.005)

    def die(self) -> None:
        """Every connection is reset and the port is closed, as when the process is killed. From any thread."""
        asyncio.run_coroutine_threadsafe(self._die(), self._loop).result(PATIENCE_SECONDS)

    async def _die(self) -> None:
        for listener in self._server.servers:
            listener.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.force_exit = self._server.should_exit = True

    async def stop(self) -> None:
        self.service.device.interrupt()
        self._server.should_exit = True
        await asyncio.wait_for(self._task, PATIENCE_SECONDS)


class BuiltInHarness(RuntimeHarness):
    def __init__(self, server: BuiltInRuntime, http: aiohttp.ClientSession) -> None:
        self.server = server
        timings = Timings(progress_interval=0.05, interrupt_interval=0.05, interrupt_patience=5)
        self.runtime = SdWebui(RuntimeContext(f"{server.url}/sdapi/v1/", http), timings)

    def request(self, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> GenerationRequest:
        content: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "seed": 1, "steps": 4}
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, content, timeout_seconds)

    def bad_request(self, task_id: str) -> GenerationRequest:
        content = {"prompt": "a cat", "sampler_name": "Nope"}
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, content, PATIENCE_SECONDS)

    def link_request(self, task_id: str) -> GenerationRequest:
        content = {"prompt": "a cat", "width": 64, "height": 64, "steps": 4, "init_images": [LINK]}
        files = {LINK: InputFile(LINK, pictures.plain(0), "image/png", "png")}
        return GenerationRequest(task_id, TaskKind.IMAGE_TO_IMAGE, content, PATIENCE_SECONDS, files)

    def received(self) -> str:
        return json.dumps(self.server.received)

    def set_latency(self, seconds: float) -> None:
        self.server.engine.latency = seconds

    def fail_next(self) -> None:
        self.server.engine.fault = "fail"

    def hang_next(self) -> None:
        self.server.engine.fault = "hang"

    def crash_next(self) -> None:
        self.server.engine.fault = "crash"

    def is_generating(self) -> bool:
        # An interrupt before the engine has begun would leave its fault to the next task.
        return self.server.engine.begun > self.server.engine.ended

    async def restart(self) -> None:
        await self.server.start()


class TestSdWebuiOnTheBuiltInRuntime(RuntimeContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[BuiltInHarness]:
        server = BuiltInRuntime()
        await server.start()
        async with aiohttp.ClientSession() as http:
            harness = BuiltInHarness(server, http)
            yield harness
            await harness.runtime.close()
        await server.stop()
        del server, harness
        gc.collect()  # the engine's memory is onnxruntime's, and Python sees no need to hurry

    async def test_what_the_runtime_did_not_do_reaches_whoever_asked(self, harness: BuiltInHarness) -> None:
        content = {"prompt": "a (cat:1.4) <lora:style:1>", "width": 64, "height": 64, "steps": 2, "seed": 2**40}
        request = GenerationRequest("warned", TaskKind.TEXT_TO_IMAGE, content, PATIENCE_SECONDS)
        generation = await generate(harness.runtime, request)
        assert len(generation.outputs) == 1
        assert any(text.startswith("prompt: <lora:style:1> was left out") for text in generation.warnings)
        assert any(text.startswith("prompt: emphasis") for text in generation.warnings)
        plain = await generate(harness.runtime, harness.request("plain"))
        assert plain.warnings == ()


@pytest.mark.parametrize("others", [None, "text", 3, {"a": 1}, [1, None, {"b": 2}]])
def test_another_servers_warnings_may_be_anything(others: Any) -> None:
    information = read_information({"info": json.dumps({"sd_model_name": "x", "warnings": others})})
    assert information is not None
    assert information.sd_model_name == "x"
    assert information.spoken_warnings == ()
