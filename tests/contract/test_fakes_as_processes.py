"""The fake runtimes run as processes too, on loopback only, and end when they are told to."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from darkroom.errors import RuntimeUnavailable
from darkroom.policy.media_types import PNG, recognise
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate
from darkroom.runtimes.protocol import GenerationRequest, RuntimeContext
from darkroom.runtimes.registry import create_runtime
from darkroom.tasks.task import TaskKind
from darkroom.testing.comfyui_nodes import text_to_image_workflow
from darkroom.testing.free_port import free_port

REQUESTS = {
    "sdwebui": GenerationRequest("one", TaskKind.TEXT_TO_IMAGE, {"prompt": "a cat"}, PATIENCE_SECONDS),
    "comfyui": GenerationRequest("one", TaskKind.PIPELINE, text_to_image_workflow(), PATIENCE_SECONDS),
}


@asynccontextmanager
async def process(runtime_type: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", f"darkroom.testing.fake_{runtime_type}", *arguments)
    started = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@pytest.mark.parametrize("runtime_type", ["sdwebui", "comfyui"])
async def test_a_process_generates_and_ends_on_sigterm(runtime_type: str) -> None:
    port = free_port()
    async with process(runtime_type, "--port", str(port), "--plain", "5000") as server, aiohttp.ClientSession() as http:
        runtime = create_runtime(runtime_type, RuntimeContext(f"localhost:{port}", http))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await runtime.check_ready()
                    break
                except RuntimeUnavailable:
                    await asyncio.sleep(0.05)
            generation = await generate(runtime, REQUESTS[runtime_type])
        body = generation.outputs[0].body
        assert isinstance(body, bytes)
        assert recognise(body) == PNG
        assert 5000 <= len(body) < 5100  # a mark may stand behind it
        await runtime.close()
        server.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.wait(), PATIENCE_SECONDS) == 0


async def test_a_taken_port_is_a_message_not_a_traceback() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with process("sdwebui", "--port", str(port)) as server:
            _, errors = await asyncio.wait_for(server.communicate(), PATIENCE_SECONDS)
    assert server.returncode == 1
    assert errors.decode().strip() == f"cannot listen on 127.0.0.1:{port}: Address already in use"
