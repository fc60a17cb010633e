"""A stream of events as a response, which ends when its client has gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from darkroom.errors import AwsFailure
from darkroom.logs import log

# A proxy must neither keep the stream nor collect it.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStreamResponse(Response):
    """Sends `blocks` as they come; `headers` are sent beside its own."""

    media_type = "text/event-stream"

    def __init__(self, blocks: AsyncIterator[bytes], headers: dict[str, str] | None = None) -> None:
        super().__init__(status_code=200, headers={**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream or the connection ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        try:
            async for block in self._blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except AwsFailure as failure:  # the client comes again, with the id of the last event
            log(logging.WARNING, "events.stream_broken", str(failure))
        finally:
            close = getattr(self._blocks, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
