"""The door of one machine or a private network: an ASGI app that answers as Amazon API Gateway does.

FastAPI routes and documents; `darkroom.api.gate` lets in, and what is in a body is the front door's business alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from darkroom.api import exchange
from darkroom.api.browsers import BrowserSafety
from darkroom.api.event_streams import EventStreams
from darkroom.api.front_door import FrontDoor
from darkroom.api.gate import Gate, respond
from darkroom.api.gateway_openai import OpenAiEndpoint
from darkroom.api.metrics import CountingRequests, GatewayMetrics, may_ask
from darkroom.api.openai_door import OpenAiDoor
from darkroom.api.openai_errors import PATH as OPENAI_PATH
from darkroom.api.openai_errors import as_openai, is_openai
from darkroom.api.openapi import DESCRIPTION, components, operations
from darkroom.api.openapi_images import images_components, images_operations
from darkroom.metrics.exposition import PATH as METRICS_PATH
from darkroom.policy.callers import Callers
from darkroom.policy.hosts import Hosts
from darkroom.policy.origins import Origins
from darkroom.settings import GatewaySettings, Network

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


_NOBODY = Callers()


def create_gateway(
    settings: GatewaySettings,
    front_door: FrontDoor,
    *,
    monotonic: Callable[[], float],
    callers: Callers = _NOBODY,
    openai: OpenAiDoor | None = None,
    events: EventStreams | None = None,
    pages: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Make the app. `monotonic` is a clock in seconds that only grows, for the token buckets.

    `openai` answers below `/v1`, with the stage before it or without; `events` tells of events, where the table can.
    `pages` are for browsers; whoever asks for one needs no key.

    Raises `SettingsError` where a caller has no key.
    """
    metrics = GatewayMetrics(names_callers=settings.metrics_callers)
    app = FastAPI(
        title="Darkroom",
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(CountingRequests, metrics, monotonic),
            Middleware(
                BrowserSafety, Hosts(settings.allowed_hosts, settings.host), Origins(settings.front_door.cors_origins)
            ),
        ],
    )
    app.router.redirect_slashes = False
    app.router.route_class = _AnsweredWhole
    app.router.routes.extend(pages)
    gate = Gate(settings, front_door, monotonic, callers, events)
    answer = gate.answer
    for operation in operations():
        app.add_api_route(f"/{settings.stage}{operation.path}", answer, **operation.route_options)
    if openai is not None:
        endpoint = OpenAiEndpoint(openai, gate.let_in_by_bearer, respond).answer
        for operation in images_operations():
            app.add_api_route(f"/{settings.stage}{operation.path}", endpoint, **operation.route_options)
        # A stage that is itself called "v1" hides what is without one.
        prefixes = (f"/{settings.stage}", "") if settings.stage != "v1" else ("/v1",)
        for prefix in prefixes:
            for path in (OPENAI_PATH.rstrip("/"), f"{OPENAI_PATH}{{rest:path}}"):
                app.add_api_route(f"{prefix}{path}", endpoint, methods=_METHODS, include_in_schema=False)
    app.add_api_route(f"/{settings.stage}/{{rest:path}}", answer, methods=_METHODS, include_in_schema=False)
    app.add_api_route(
        "/healthz",
        _healthz,
        methods=["GET"],
        response_model=dict[str, str],
        summary="Whether the gateway runs",
        tags=["operations"],
    )
    app.add_api_route(METRICS_PATH, _telling(metrics, settings.metrics_from), methods=["GET"], include_in_schema=False)
    app.add_exception_handler(HTTPException, _nothing_outside(settings.stage))
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken(settings.stage))
    _add_components(app)
    return app


class _AnsweredWhole(APIRoute):
    """A route whose endpoint takes the request as it is and makes the response.

    FastAPI has nothing to read, to look up or to check for it, and does not try, which takes as long as all that
    Darkroom does before it asks AWS.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


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
            return respond(exchange.method_not_allowed(request.method, (failure.headers or {}).get("Allow", "GET")))
        if path.startswith("/v1alpha"):
            return respond(exchange.stage_missing(path, stage))
        return respond(exchange.not_found(path))

    return answer


async def _gone(_request: Request, _failure: Exception) -> Response:
    """Nobody reads this. The status is the one that others use for a client that has gone, for the figures."""
    return Response(status_code=499)


def _broken(stage: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _failure: Exception) -> Response:
        reply = exchange.out_of_order()
        path = request.url.path.removeprefix(f"/{stage}")
        return respond(as_openai(reply) if is_openai(path) else reply)

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
