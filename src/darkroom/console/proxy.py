"""The console before a front door elsewhere: the same page on loopback, and what it asks, handed on with the API key.

The page never has the key. It holds a token of this process, which is good for nothing elsewhere and for nothing after
its end; whatever comes with it is handed on with the key in its place. Names in `Host` and `Origin` are checked as a
gateway's are, so that no other page can use this one's way.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Mapping

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from darkroom.api import exchange
from darkroom.api.browsers import BrowserSafety
from darkroom.console.serving import console_routes
from darkroom.errors import AwsUnavailable
from darkroom.policy.hosts import Hosts
from darkroom.policy.origins import Origins

STAGE = "console-api"
LISTENS_AT = "127.0.0.1"
# A look-up may wait for 20 s, and a stream of events says something every 15.
PATIENCE = httpx.Timeout(60.0, connect=10.0)
_METHODS = ["GET", "POST", "PUT"]
_HANDED_ON = ("accept", "content-type", "idempotency-key", "last-event-id")
_HANDED_BACK = ("content-type", "retry-after", "ratelimit", "ratelimit-policy", "allow")


class Elsewhere:
    """The front door at `endpoint` (up to and including the stage), which `api_key` opens."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, api_key: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._http = http
        self._api_key = api_key

    async def ask(
        self, method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> httpx.Response:
        """Ask, and return the answer before its body has come. Raises `httpx.HTTPError` where there is none."""
        url = f"{self.endpoint}/{path}" + (f"?{query}" if query else "")
        sent = {**(headers or {}), "x-api-key": self._api_key}
        return await self._http.send(
            self._http.build_request(method, url, headers=sent, content=body or None), stream=True
        )

    async def sign_a_link(self) -> str:
        """Any link to the bucket of this front door. Raises `AwsUnavailable` where it signs none."""
        body = json.dumps({"size_bytes": 1}).encode()
        try:
            reply = await self.ask("POST", "v1alpha2/uploads", "", {"content-type": exchange.JSON}, body)
            found = json.loads(await reply.aread())
            return str(found["upload_url"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise AwsUnavailable(f"{self.endpoint} signs no link to its bucket: {type(error).__name__}") from None


def create_proxy(elsewhere: Elsewhere, token: str) -> Starlette:
    """Make the app: the page, and below `STAGE` what the front door answers to whoever comes with `token`."""

    async def hand_on(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), token.encode()):
            return _told(exchange.no_key())
        body = await _body(request)
        if body is None:
            return _told(exchange.body_too_large())
        headers = {name: value for name in _HANDED_ON if (value := request.headers.get(name)) is not None}
        # As it was sent: what is escaped in an id stays so.
        path = request.scope["raw_path"].decode("ascii").split("?")[0].removeprefix(f"/{STAGE}/")
        try:
            reply = await elsewhere.ask(request.method, path, request.url.query, headers, body)
        except httpx.HTTPError as error:
            reason = f"The front door at {elsewhere.endpoint} does not answer ({type(error).__name__})."
            return _told(exchange.error(502, reason))
        told = {name: value for name in _HANDED_BACK if (value := reply.headers.get(name)) is not None}
        status = reply.status_code
        if status == 401 or (status == 403 and reply.headers.get("x-amzn-errortype") == "ForbiddenException"):
            # The page would ask for a key, and has none to give.
            await reply.aclose()
            return _told(exchange.error(502, f"The front door at {elsewhere.endpoint} does not take the API key."))
        return StreamingResponse(_pieces(reply), status, told, background=BackgroundTask(reply.aclose))

    return Starlette(
        routes=[
            *console_routes(STAGE, elsewhere.sign_a_link, elsewhere.endpoint),
            Route(f"/{STAGE}/{{rest:path}}", hand_on, methods=_METHODS),
        ],
        middleware=[Middleware(BrowserSafety, Hosts((), LISTENS_AT), Origins())],
    )


async def _pieces(reply: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in reply.aiter_bytes():
            yield piece
    except httpx.HTTPError:
        return  # whoever reads comes again


async def _body(request: Request) -> bytes | None:
    """The body; None for one that no front door takes."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > exchange.MAXIMUM_BODY_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _told(reply: exchange.HttpReply) -> Response:
    return Response(reply.encode_body(), reply.status, dict(reply.headers), media_type=reply.media_type)
