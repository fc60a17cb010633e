"""The gateway's part of OpenAI's API: streams, and an end to waiting when the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.openai_door import OpenAiDoor
from darkroom.api.openai_errors import as_openai
from darkroom.api.openai_finishing import EVENT_STREAM, Stream
from darkroom.openai.client_headers import read_client_headers

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def presented_key(request: Request) -> str:
    """The API key that a request came with: as OpenAI's clients send it, or as ours do."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


class OpenAiEndpoint:
    """Answers the requests that `let_in` lets through; `respond` makes a reply into a response."""

    def __init__(
        self,
        door: OpenAiDoor,
        let_in: Callable[[Request], Awaitable[HttpRequest | HttpReply]],
        respond: Callable[[HttpReply], Response],
    ) -> None:
        self._door = door
        self._let_in = let_in
        self._respond = respond

    async def answer(self, request: Request) -> Response:
        """Answer any request below `/v1`."""
        admitted = await self._let_in(request)
        if isinstance(admitted, HttpReply):
            return self._respond(as_openai(admitted))
        begun = await self._door.begin(admitted, read_client_headers(request.headers))
        del admitted  # and its body with it: as many wait as there are places
        if isinstance(begun, HttpReply):
            return self._respond(begun)
        connection = asyncio.create_task(_until_gone(request))

        async def pause(seconds: float) -> bool:
            gone, _ = await asyncio.wait({connection}, timeout=seconds)
            return not gone

        try:
            answer = await self._door.finish(begun, pause)
        finally:
            # The response to a stream listens to the connection itself, and ends the stream with it.
            connection.cancel()
        return _Events(answer) if isinstance(answer, Stream) else self._respond(answer)


class _Events(StreamingResponse):
    """Server-sent events, whose stream is closed however the response ends."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.events, media_type=EVENT_STREAM, headers=_STREAM_HEADERS)
        self._close = stream.close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
