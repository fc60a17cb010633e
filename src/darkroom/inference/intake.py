"""Requests' bodies on their way in: how large one may be, how much all may hold, and reading them beside the loop."""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.inference.limits import MAX_VALUES, MIB

T = TypeVar("T")

#: Faults told at once; a list of many wrong values would make a long answer.
_MOST_FAULTS = 50


class Intake:
    """ASGI middleware: counts what bodies and answers hold in memory, and refuses what would be too much.

    What is received counts, not what a header promises: who promises much and sends nothing keeps nobody out.
    """

    def __init__(self, app: ASGIApp, largest: int, most: int) -> None:
        self._app = app
        self._largest = largest
        self._most = most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        promised = dict(scope["headers"]).get(b"content-length", b"")
        if promised.isdigit() and int(promised) > self._largest:
            await _too_large(self._largest)(scope, receive, send)
            return
        received = held = 0

        def hold(count: int) -> None:
            nonlocal held
            held += count
            self._held += count

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            piece = message.get("body", b"")
            if not piece:  # the end, or that the client has left
                return message
            received += len(piece)
            hold(len(piece))
            if received > self._largest:
                raise HTTPException(413, _too_large_text(self._largest))
            if self._held > self._most and self._held > held:
                text = f"requests under way hold {self._held // MIB} MiB already; send this one again later"
                raise HTTPException(503, text, {"Retry-After": "5"})
            return message

        scope.setdefault("state", {})["hold"] = hold
        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held


def parsed(model: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency for FastAPI: the request's body, read as JSON and validated on a thread."""
    adapter = TypeAdapter(model)

    async def read(request: Request) -> T:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise HTTPException(415, f"the body must be JSON with content-type application/json, not {kind!r}")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "compressed bodies are not read here; send plain JSON")
        raw = bytearray()  # and not `request.body()`, which keeps it until the answer is sent
        async for piece in request.stream():
            raw += piece
        validated: T = await request.app.state.service.codec.read(lambda: _validated(adapter, raw))
        return validated

    return read


def described(route: str, model: type[Any]) -> dict[str, Any]:
    """The body's schema, for the OpenAPI document."""
    place = f"#/paths/~1sdapi~1v1~1{route}/post/requestBody/content/application~1json/schema/$defs/{{model}}"
    schema = TypeAdapter(model).json_schema(ref_template=place)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _validated(adapter: TypeAdapter[T], raw: bytearray) -> T:
    if raw.startswith(codecs.BOM_UTF8):
        del raw[: len(codecs.BOM_UTF8)]
    if not raw or raw.isspace():
        raise RequestValidationError([{"loc": ("body",), "msg": "Field required", "type": "missing"}])
    if sum(map(raw.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise HTTPException(413, f"the body's JSON has more than {MAX_VALUES} values; no request needs as many")
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_FAULTS]
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


def _too_large_text(largest: int) -> str:
    return f"the body is larger than {largest // MIB} MiB; send fewer or smaller pictures"


def _too_large(largest: int) -> JSONResponse:
    return JSONResponse({"detail": _too_large_text(largest)}, 413, {"Connection": "close"})
