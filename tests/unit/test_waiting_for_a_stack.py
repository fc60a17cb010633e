"""Waiting for a stack's programs, with shells and an answer of the test's in their place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from darkroom.config.model import RuntimeConfig
from darkroom.errors import StackFailure
from darkroom.local.programs import LocalEngine, runtime_program, start_limit_seconds
from darkroom.local.supervisor import Program, Supervisor
from darkroom.local.waiting import Awaited, wait_for
from darkroom.testing.free_port import free_port

_SAYS = f"echo INFO: uvicorn; echo '{json.dumps({'message': 'read dog.safetensors'})}'; echo INFO: more; exec sleep 60"


@asynccontextmanager
async def running(folder: Path, script: str) -> AsyncIterator[Supervisor]:
    """A supervisor with a program of the name `runtime`."""
    supervisor = Supervisor(folder, lambda _: None)
    await supervisor.start(Program("runtime", ["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin"}, patience_seconds=0))
    try:
        yield supervisor
    finally:
        await supervisor.stop()


@asynccontextmanager
async def answering(port: int) -> AsyncIterator[None]:
    """A server that answers everything with 200."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield


async def test_it_says_what_takes_so_long_in_the_words_of_what_is_waited_for(tmp_path: Path) -> None:
    port, told = free_port(), asyncio.Queue[str]()
    awaited = Awaited("agent", f"http://127.0.0.1:{port}/readyz", behind="runtime", limit_seconds=None)
    async with running(tmp_path, _SAYS) as supervisor, asyncio.timeout(20):
        waiting = asyncio.create_task(wait_for(awaited, supervisor, told.put_nowait, told_after_seconds=0.1))
        while "read dog.safetensors" not in (line := await told.get()):
            assert "runtime is not ready yet" in line
        assert str(tmp_path / "runtime.log") in line
        async with answering(port):
            await waiting


async def test_what_has_a_limit_is_given_up_when_it_is_reached(tmp_path: Path) -> None:
    awaited = Awaited("agent", f"http://127.0.0.1:{free_port()}/readyz", behind="runtime", limit_seconds=0.2)
    async with running(tmp_path, "exec sleep 60") as supervisor:
        with pytest.raises(StackFailure, match=r"runtime did not get ready within 0.2 s.*runtime.log"):
            await wait_for(awaited, supervisor, lambda _: None)


async def test_who_waits_without_a_limit_hears_of_what_has_died(tmp_path: Path) -> None:
    awaited = Awaited("agent", f"http://127.0.0.1:{free_port()}/readyz", limit_seconds=None)
    async with running(tmp_path, "echo out of memory; exit 9") as supervisor, asyncio.timeout(20):
        with pytest.raises(StackFailure, match=r"runtime ended with exit code 9(.|\n)*out of memory"):
            await wait_for(awaited, supervisor, lambda _: None)


async def test_who_waits_without_a_limit_can_be_interrupted(tmp_path: Path) -> None:
    awaited = Awaited("agent", f"http://127.0.0.1:{free_port()}/readyz", limit_seconds=None)
    async with running(tmp_path, "exec sleep 60") as supervisor, asyncio.timeout(20):
        waiting = asyncio.create_task(wait_for(awaited, supervisor, lambda _: None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize("engine", LocalEngine)
def test_a_start_without_a_limit_is_one_that_says_what_it_does(engine: LocalEngine, tmp_path: Path) -> None:
    runtime = RuntimeConfig(name="sdruntime", type="sdwebui", modelFilename="dog.safetensors")
    limit = start_limit_seconds(engine)
    assert (limit is None) == (engine is LocalEngine.DIFFUSERS)
    command = runtime_program(runtime, 7860, engine, tmp_path).command
    if engine is not LocalEngine.FAKE:
        assert command[command.index("--log-level") + 1] == ("info" if limit is None else "warning")
