"""An adapter for the simplest server there could be: `POST /generate` with JSON, answered with a picture's bytes.

The server takes one request at a time, refuses with 4xx and a sentence, fails with 5xx and a sentence, says on
`GET /health` whether it is up, and stops what it is doing on `POST /stop`. See docs/adding-a-runtime.md.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    RuntimeUnavailable,
)
from darkroom.policy.links import replace_strings
from darkroom.runtimes.base_url import parse_base_url
from darkroom.runtimes.http import RuntimeHttp
from darkroom.runtimes.protocol import (
    Generation,
    GenerationRequest,
    Output,
    Prepared,
    ProgressListener,
    Runtime,
    RuntimeContext,
)
from darkroom.tasks.task import TaskKind

_QUICK_SECONDS = 5.0
# What the server answers with when somebody stopped it in the middle.
_STOPPED = 409


class PlainHttp(Runtime):
    """A server that answers a prompt with a picture."""

    def __init__(self, context: RuntimeContext) -> None:
        self._http = RuntimeHttp(context.http, parse_base_url(context.base_url))
        # The request in flight, by task: it goes on when nobody waits for it any more, as the server does.
        self._running: dict[Prepared, asyncio.Task[Any]] = {}

    @property
    def kinds(self) -> frozenset[TaskKind]:
        """It only paints from text."""
        return frozenset({TaskKind.TEXT_TO_IMAGE})

    async def check_ready(self) -> None:
        """Ask the server."""
        answer = await self._http.get("health", timeout_seconds=_QUICK_SECONDS)
        if answer.status != 200:
            raise RuntimeUnavailable(f"the server is not healthy: HTTP {answer.status}")

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Everything that needs no device: the content is checked and the body is written."""
        if not isinstance(request.content.get("prompt"), str):
            raise GenerationRefused("the content must have a prompt, which is a string")
        pictures = {url: file.data.hex() for url, file in request.files.items()}
        body = msgspec.json.encode(replace_strings(request.content, pictures))
        return Prepared(replace(request, files={}), payload=body, size_bytes=len(body))

    async def run(self, prepared: Prepared, report: ProgressListener) -> bytes:
        """Only this occupies the device, so it returns as soon as the bytes are there."""
        request = prepared.request
        for left_behind in list(self._running):  # a retry would wait behind it
            await self._stop(left_behind)
        exchange = asyncio.create_task(self._http.post("generate", prepared.payload, timeout_seconds=None))
        self._running[prepared] = exchange
        exchange.add_done_callback(lambda _: self._running.pop(prepared, None))
        try:
            async with asyncio.timeout(request.timeout_seconds):
                answer = await asyncio.shield(exchange)
        except TimeoutError:
            await self._stop(prepared)
            raise GenerationTimeout(f"no picture within {request.timeout_seconds:g} s") from None
        reason = answer.body.decode(errors="replace")
        if answer.status == _STOPPED:
            raise GenerationInterrupted(reason)
        if answer.status >= 500:
            raise GenerationFailed(f"the server failed: {reason}")
        if answer.status != 200:
            raise GenerationRefused(f"the server refused the request: {reason}")
        return answer.body

    async def collect(self, result: bytes) -> Generation:
        """The picture is the answer; there is nothing else to keep."""
        return Generation((Output(result, ("picture",)),), {"picture": None})

    async def interrupt(self, prepared: Prepared) -> None:
        """Stop this task, and no other: the server stops whatever runs, so see that it is this one."""
        if prepared in self._running:
            await self._stop(prepared)

    async def close(self) -> None:
        """Nothing is kept open but requests that nobody waits for."""
        for exchange in list(self._running.values()):
            exchange.cancel()

    async def _stop(self, prepared: Prepared) -> None:
        exchange = self._running.get(prepared)
        if exchange is not None:
            await self._http.post("stop", b"", timeout_seconds=_QUICK_SECONDS)
            await asyncio.wait({exchange}, timeout=_QUICK_SECONDS)
