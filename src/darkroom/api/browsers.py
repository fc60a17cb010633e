"""What a gateway does for web pages, and against them: names in `Host` and `Origin` are checked, and CORS answered."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.api import exchange
from darkroom.policy.hosts import Hosts
from darkroom.policy.origins import Origins, same_origin

# In a request's scope: further headers of its answer.
MORE_HEADERS = "darkroom.more_headers"


class BrowserSafety:
    """Lets requests through to `app` that are meant for this front door and come from no page that may not ask."""

    def __init__(self, app: ASGIApp, hosts: Hosts, origins: Origins) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        host, origin = asked.get("host", ""), asked.get("origin", "")
        # Every browser says which host it means.
        if host and not self._hosts.allow(host):
            await _refuse(exchange.wrong_host(host))(scope, receive, send)
            return
        # A browser says "null" where it hides a page's origin, which may be anybody's.
        if origin and not self._origins.allow(origin) and not same_origin(origin, scope["scheme"], host):
            await _refuse(exchange.wrong_origin(origin))(scope, receive, send)
            return
        if origin and scope["method"] == "OPTIONS" and "access-control-request-method" in asked:
            await Response(status_code=204, headers=self._origins.preflight_headers(origin))(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._origins.headers(origin))
                headers.update(scope.get(MORE_HEADERS, {}))
            await send(message)

        await self._app(scope, receive, add)


def _refuse(reply: exchange.HttpReply) -> Response:
    return Response(reply.encode_body(), reply.status, dict(reply.headers), media_type=reply.media_type)
