"""What stands before the front door at a gateway: keys, throttles, sizes.

Each request passes, in this order: its API key (401), the key's token bucket (429), its size (413), and then the same
`FrontDoor` as behind AWS Lambda.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from darkroom.api import exchange
from darkroom.api.browsers import MORE_HEADERS
from darkroom.api.event_plans import EventsRequest, plan_events
from darkroom.api.event_streams import EventStreams
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway_events import EventStreamResponse
from darkroom.api.gateway_openai import presented_key
from darkroom.api.keys import ApiKeys
from darkroom.api.limits import Limits
from darkroom.api.metrics import CALLER
from darkroom.api.openai_errors import no_key as no_bearer
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.callers import Callers
from darkroom.settings import GatewaySettings

# A client that sends too much is read to the end, without keeping anything, as long as it is not absurd: a client that
# is cut off while it writes may never see the 413.
_MAXIMUM_DRAIN_BYTES = 4 * exchange.MAXIMUM_BODY_BYTES


class Gate:
    """What stands before the front door."""

    def __init__(
        self,
        settings: GatewaySettings,
        front_door: FrontDoor,
        monotonic: Callable[[], float],
        callers: Callers,
        events: EventStreams | None = None,
    ) -> None:
        self._keys = ApiKeys(settings.api_keys, callers)
        self._limits = Limits(settings.rate_limit, settings.burst_limit, callers)
        self._stage_path = f"/{settings.stage}"
        self._front_door = front_door
        self._monotonic = monotonic
        self._events = events
        self._callers = callers

    async def answer(self, request: Request) -> Response:
        """Answer any request below the stage."""
        admitted = await self._let_in(request, request.headers.get("x-api-key", ""), exchange.no_key())
        if isinstance(admitted, HttpReply):
            return respond(admitted)
        if self._events is not None and (events := plan_events(admitted, self._callers)) is not None:
            return await self._tell(events, self._events)
        answer = self._front_door.answer(admitted)
        return respond(await (_while_there(request, answer) if "wait" in admitted.query else answer))

    async def _tell(self, plan: EventsRequest | HttpReply, events: EventStreams) -> Response:
        """Open a stream of events."""
        try:
            opened = plan if isinstance(plan, HttpReply) else await events.open(plan)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.aws_failed", str(failure), error_type=failure.type)
            opened = exchange.try_again() if failure.retryable else exchange.out_of_order()
        if isinstance(opened, HttpReply):
            return Response(status_code=204) if opened.status == 204 else respond(opened)
        return EventStreamResponse(opened.blocks)

    async def let_in_by_bearer(self, request: Request) -> HttpRequest | HttpReply:
        """The same checks for a request of OpenAI's API."""
        return await self._let_in(request, presented_key(request), no_bearer())

    async def _let_in(self, request: Request, key: str, no_key: HttpReply) -> HttpRequest | HttpReply:
        caller = self._keys.find(key)
        if caller is None:
            return no_key
        request.scope[CALLER] = caller
        allowance = self._limits.take(caller, request.method, self._monotonic())
        request.scope[MORE_HEADERS] = allowance.headers
        if allowance.wait_seconds > 0:
            return exchange.too_many_requests(math.ceil(allowance.wait_seconds))
        body = await _read_body(request)
        if body is None:
            return exchange.body_too_large()
        # Not `request.url.path`, in which a task id's "%2F" would have become a "/".
        path: str = request.scope["raw_path"].decode("latin-1")
        return HttpRequest(
            method=request.method,
            path=path.removeprefix(self._stage_path),
            content_type=request.headers.get("content-type", ""),
            content_encoding=request.headers.get("content-encoding", ""),
            query=request.query_params,
            body=body,
            base_url=f"{request.url.scheme}://{request.url.netloc}{self._stage_path}",
            last_event_id=request.headers.get("last-event-id", ""),
            idempotency_key=request.headers.get("idempotency-key"),
            caller=caller,
        )


async def _while_there(request: Request, answer: Coroutine[Any, Any, HttpReply]) -> HttpReply:
    """Wait for the answer as long as the client does. Its request has been read: the next thing is that it goes."""
    answering = asyncio.create_task(answer)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return await answering
    finally:
        answering.cancel()
        gone.cancel()


async def _read_body(request: Request) -> bytes | None:
    """Read the body, whatever its Content-Length says; None when there is more than the limit of it."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MAXIMUM_DRAIN_BYTES:
            break
        if size > exchange.MAXIMUM_BODY_BYTES:
            chunks.clear()
        else:
            chunks.append(chunk)
    return b"".join(chunks) if size <= exchange.MAXIMUM_BODY_BYTES else None


def respond(reply: HttpReply) -> Response:
    """The reply as a response."""
    return Response(reply.encode_body(), reply.status, dict(reply.headers), media_type=reply.media_type)
