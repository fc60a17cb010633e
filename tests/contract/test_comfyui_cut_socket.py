"""A websocket that is cut at every message of a recorded run: the task still ends, right, within its deadline.

The run is replayed message by message as a real ComfyUI sent it (two steps, with previews, one saved picture).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from darkroom.errors import GenerationFailed, GenerationInterrupted
from darkroom.runtimes.comfyui.adapter import ComfyUi, Timings
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate
from darkroom.runtimes.protocol import GenerationRequest, RuntimeContext
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.comfyui_nodes import text_to_image_workflow
from darkroom.testing.loopback import LoopbackServer

PREVIEW = (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\xff\xd8\xff\xe0\x00\x10JFIF"
SAVED = {"images": [{"filename": "ComfyUI_00023_.png", "subfolder": "", "type": "output"}]}
Message = tuple[str, dict[str, Any]] | bytes

_BEGINNING: list[Message] = [
    ("execution_start", {"timestamp": 1}),
    ("execution_cached", {"nodes": [], "timestamp": 2}),
    ("progress_state", {"nodes": {"4": {"value": 0, "max": 1, "state": "running"}}}),
    ("executing", {"node": "4", "display_node": "4"}),
    ("progress_state", {"nodes": {"4": {"value": 1, "max": 1, "state": "finished"}}}),
    ("executing", {"node": "5", "display_node": "5"}),
    ("executing", {"node": "7", "display_node": "7"}),
    ("executing", {"node": "6", "display_node": "6"}),
    ("executing", {"node": "3", "display_node": "3"}),
    ("progress_state", {"nodes": {"3": {"value": 1, "max": 2, "state": "running"}}}),
    ("progress", {"value": 1, "max": 2, "node": "3"}),
    PREVIEW,
    ("progress_state", {"nodes": {"3": {"value": 2, "max": 2, "state": "running"}}}),
    ("progress", {"value": 2, "max": 2, "node": "3"}),
    PREVIEW,
    ("executing", {"node": "8", "display_node": "8"}),
]
_NOTHING_LEFT = ("status", {"status": {"exec_info": {"queue_remaining": 0}}})
_OVER = ("executing", {"node": None})
SUCCESS: list[Message] = [
    *_BEGINNING,
    ("executing", {"node": "9", "display_node": "9"}),
    ("executed", {"node": "9", "display_node": "9", "output": SAVED}),
    ("progress_state", {"nodes": {"9": {"value": 1, "max": 1, "state": "finished"}}}),
    ("execution_success", {"timestamp": 3}),
    _NOTHING_LEFT,
    _OVER,
]
_WHERE = {"node_id": "8", "node_type": "VAEDecode", "executed": ["4", "5", "7", "6", "3"]}
ERROR: list[Message] = [
    *_BEGINNING,
    ("execution_error", {**_WHERE, "exception_message": "out of memory", "exception_type": "torch.OutOfMemoryError"}),
    _NOTHING_LEFT,
    _OVER,
]
INTERRUPT: list[Message] = [*_BEGINNING, ("execution_interrupted", dict(_WHERE)), _NOTHING_LEFT, _OVER]


class Replay(LoopbackServer):
    """Sends the messages of one run and cuts the socket after `cut_after` of them; the run itself goes on."""

    def __init__(self, messages: list[Message], cut_after: int) -> None:
        super().__init__()
        self.messages = messages
        self.cut_after = cut_after
        self.record: dict[str, Any] | None = None
        self.prompt_id = ""
        self.cuts = 0
        self._socket: web.WebSocketResponse | None = None
        self._play: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ws", self.serve_socket),
            web.post("/prompt", self.submit),
            web.get("/queue", self.queue),
            web.get("/history/{id}", self.history),
            web.get("/view", self.view),
        ]

    async def serve_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.cuts == 0:
            self._socket = socket
        async for _ in socket:
            pass
        return socket

    async def submit(self, request: web.Request) -> web.StreamResponse:
        self.prompt_id = (await request.json())["prompt_id"]
        self._play = asyncio.create_task(self.play())
        return web.json_response({"prompt_id": self.prompt_id, "number": 0, "node_errors": {}})

    async def play(self) -> None:
        events = []
        for number, message in enumerate(self.messages):
            await self.cut_at(number)
            if isinstance(message, tuple):
                event, data = message
                data = data if event == "status" else {**data, "prompt_id": self.prompt_id}
                if event.startswith("execution_"):
                    events.append([event, data])
                if number == len(self.messages) - 2:
                    succeeded = events[-1][0] == "execution_success"
                    status = {"status_str": "success" if succeeded else "error", "messages": events}
                    self.record = {"outputs": {"9": SAVED} if succeeded else {}, "status": status}
                message = json.dumps({"type": event, "data": data}).encode()
                if self._socket is not None:
                    await self._socket.send_str(message.decode())
            elif self._socket is not None:
                await self._socket.send_bytes(message)
            await asyncio.sleep(0.002)
        await self.cut_at(len(self.messages))

    async def cut_at(self, number: int) -> None:
        if number == self.cut_after and self._socket is not None:
            socket, self._socket = self._socket, None
            self.cuts += 1
            await socket.close()

    async def queue(self, request: web.Request) -> web.StreamResponse:
        running = [[0, self.prompt_id, {}, {}, []]] if self.prompt_id and self.record is None else []
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def history(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info["id"] == self.prompt_id
        return web.json_response({self.prompt_id: self.record} if asked and self.record else {})

    async def view(self, request: web.Request) -> web.StreamResponse:
        assert request.query["filename"] == "ComfyUI_00023_.png"
        return web.Response(body=pictures.plain(0))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def replay(http: aiohttp.ClientSession, messages: list[Message], cut_after: int) -> tuple[Replay, Any]:
    async with Replay(messages, cut_after) as server:
        adapter = ComfyUi(RuntimeContext(server.url, http), Timings(poll_interval=5, quick_poll_interval=0.01))
        request = GenerationRequest("one", TaskKind.PIPELINE, text_to_image_workflow(), PATIENCE_SECONDS)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                try:
                    return server, await generate(adapter, request)
                except (GenerationFailed, GenerationInterrupted) as failure:
                    return server, failure
        finally:
            await adapter.close()


@pytest.mark.parametrize("cut_after", range(len(SUCCESS) + 1))
async def test_a_success_is_a_success_wherever_the_socket_is_cut(cut_after: int, http: aiohttp.ClientSession) -> None:
    server, outcome = await replay(http, SUCCESS, cut_after)
    assert [output.body for output in outcome.outputs] == [pictures.plain(0)]
    assert server.cuts == 1 or cut_after == len(SUCCESS)


@pytest.mark.parametrize("cut_after", range(len(ERROR) + 1))
async def test_an_error_is_an_error_wherever_the_socket_is_cut(cut_after: int, http: aiohttp.ClientSession) -> None:
    _, outcome = await replay(http, ERROR, cut_after)
    assert isinstance(outcome, GenerationFailed)
    assert "node 8 (VAEDecode) failed: torch.OutOfMemoryError: out of memory" in str(outcome)


@pytest.mark.parametrize("cut_after", range(len(INTERRUPT) + 1))
async def test_an_interrupt_is_an_interrupt_wherever_the_socket_is_cut(
    cut_after: int, http: aiohttp.ClientSession
) -> None:
    _, outcome = await replay(http, INTERRUPT, cut_after)
    assert isinstance(outcome, GenerationInterrupted)


async def test_without_a_cut_the_socket_alone_tells_the_end(http: aiohttp.ClientSession) -> None:
    """The polling interval of these tests is longer than a run: what ends it early is the last message."""
    started_at = asyncio.get_running_loop().time()
    _, outcome = await replay(http, SUCCESS, cut_after=1000)
    assert outcome.outputs
    assert asyncio.get_running_loop().time() - started_at < 4
