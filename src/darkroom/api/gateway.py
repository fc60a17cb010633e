"""The door of one machine or a private network: an ASGI app that answers as Amazon API Gateway does.

Each request passes, in this order: its API key (401), the key's token bucket (429), its size (413), and then the same
`FrontDoor` as behind AWS Lambda. FastAPI routes and documents; what is in a body is the front door's business alone.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway_openai import OpenAiEndpoint, presented_key
from darkroom.api.keys import ApiKeys
from darkroom.api.metrics import CALLER, CountingRequests, GatewayMetrics, may_ask
from darkroom.api.openai_door import OpenAiDoor
from darkroom.api.openai_errors import PATH as OPENAI_PATH
from darkroom.api.openai_errors import as_openai, is_openai
from darkroom.api.openai_errors import no_key as no_bearer
from darkroom.api.openapi import DESCRIPTION, components, operations
from darkroom.api.openapi_images import images_components, images_operations
from darkroom.api.throttle import Throttle
from darkroom.metrics.exposition import PATH as METRICS_PATH
from darkroom.policy.callers import Callers
from darkroom.settings import GatewaySettings, Network

# A client that sends too much is read to the end, without keeping anything, as long as it is not absurd: a client that
# is cut off while it writes may never see the 413.
_MAXIMUM_DRAIN_BYTES = 4 * exchange.MAXIMUM_BODY_BYTES
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


_NOBODY = Callers()


def create_gateway(
    settings: GatewaySettings,
    front_door: FrontDoor,
    *,
    monotonic: Callable[[], float],
    callers: Callers = _NOBODY,
    openai: OpenAiDoor | None = None,
) -> FastAPI:
    """Make the app. `monotonic` is a clock in seconds that only grows, for the token buckets.

    `openai` answers below `/v1`, with the stage before it or without.

    Raises `SettingsError` where a caller has no key.
    """
    metrics = GatewayMetrics(names_callers=settings.metrics_callers)
    app = FastAPI(
        title="Darkroom",
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(CountingRequests, metrics, monotonic)],
    )
    app.router.redirect_slashes = False
    gate = _Gate(settings, front_door, monotonic, callers)
    answer = gate.answer
    if openai is not None:
        endpoint = OpenAiEndpoint(openai, gate.let_in_by_bearer, _respond).answer
        for operation in images_operations():
            app.add_api_route(f"/{settings.stage}{operation.path}", endpoint, **operation.route_options)
        # A stage that is itself called "v1" hides what is without one.
        prefixes = (f"/{settings.stage}", "") if settings.stage != "v1" else ("/v1",)
        for prefix in prefixes:
            for path in (OPENAI_PATH.rstrip("/"), f"{OPENAI_PATH}{{rest:path}}"):
                app.add_api_route(f"{prefix}{path}", endpoint, methods=_METHODS, include_in_schema=False)
    for operation in operations():
        app.add_api_route(f"/{settings.stage}{operation.path}", answer, **operation.route_options)
    app.add_api_route(f"/{settings.stage}/{{rest:path}}", answer, methods=_METHODS, include_in_schema=False)
    app.add_api_route("/healthz", _healthz, methods=["GET"], summary="Whether the gateway runs", tags=["operations"])
    app.add_api_route(METRICS_PATH, _telling(metrics, settings.metrics_from), methods=["GET"], include_in_schema=False)
    app.add_exception_handler(HTTPException, _nothing_outside(settings.stage))
    app.add_exception_handler(Exception, _broken(settings.stage))
    _add_components(app)
    return app


class _Gate:
    """What stands before the front door."""

    def __init__(
        self, settings: GatewaySettings, front_door: FrontDoor, monotonic: Callable[[], float], callers: Callers
    ) -> None:
        self._keys = ApiKeys(settings.api_keys, callers)
        self._throttle = Throttle(settings.rate_limit, settings.burst_limit, callers)
        self._stage_path = f"/{settings.stage}"
        self._front_door = front_door
        self._monotonic = monotonic

    async def answer(self, request: Request) -> Response:
        """Answer any request below the stage."""
        admitted = await self._let_in(request, request.headers.get("x-api-key", ""), exchange.no_key())
        return _respond(admitted if isinstance(admitted, HttpReply) else await self._front_door.answer(admitted))

    async def let_in_by_bearer(self, request: Request) -> HttpRequest | HttpReply:
        """The same checks for a request of OpenAI's API."""
        return await self._let_in(request, presented_key(request), no_bearer())

    async def _let_in(self, request: Request, key: str, no_key: HttpReply) -> HttpRequest | HttpReply:
        caller = self._keys.find(key)
        if caller is None:
            return no_key
        request.scope[CALLER] = caller
        wait_seconds = self._throttle.take(caller, self._monotonic())
        if wait_seconds > 0:
            return exchange.too_many_requests(math.ceil(wait_seconds))
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
            idempotency_key=request.headers.get("idempotency-key"),
            caller=caller,
            client_retries=exchange.client_retries(request.headers),
            client_patience_seconds=exchange.client_patience_seconds(request.headers),
        )


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


def _respond(reply: HttpReply) -> Response:
    return Response(reply.encode_body(), reply.status, dict(reply.headers), media_type=reply.media_type)


async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


def _telling(metrics: GatewayMetrics, networks: Sequence[Network]) -> Callable[[Request], Awaitable[Response]]:
    async def tell(request: Request) -> Response:
        if not may_ask(networks, request.client.host if request.client else None, request.headers):
            raise HTTPException(404)
        body, content_type = metrics.text(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    return tell


def _nothing_outside(stage: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Outside the stage, FastAPI itself finds that there is nothing."""

    async def answer(request: Request, failure: Exception) -> Response:
        path = request.url.path
        if isinstance(failure, HTTPException) and failure.status_code == 405:
            return _respond(exchange.method_not_allowed(request.method, (failure.headers or {}).get("Allow", "GET")))
        if path.startswith("/v1alpha"):
            return _respond(exchange.stage_missing(path, stage))
        return _respond(exchange.not_found(path))

    return answer


def _broken(stage: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _failure: Exception) -> Response:
        reply = exchange.out_of_order()
        path = request.url.path.removeprefix(f"/{stage}")
        return _respond(as_openai(reply) if is_openai(path) else reply)

    return answer


def _add_components(app: FastAPI) -> None:
    """Put the schemas into the OpenAPI document that FastAPI makes of the routes."""
    make = app.openapi

    def openapi() -> Mapping[str, object]:
        document = make()
        document.setdefault("components", {}).update(components())
        for kind, added in images_components().items():
            document["components"].setdefault(kind, {}).update(added)
        return document

    app.openapi = openapi  # type: ignore[method-assign,assignment]
