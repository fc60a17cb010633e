"""The server of linked pictures in a chaos run: prompt, slow, endless, or without the picture."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from darkroom.testing import pictures
from darkroom.testing.loopback import LoopbackServer
from tests.chaos.tasks import Link

_DRIPS = 4
_DRIP_SECONDS = 0.1
_FOR_EVER_SECONDS = 3600.0


class PictureServer(LoopbackServer):
    """Serves one picture at `/{behaviour}/…`."""

    def __init__(self) -> None:
        super().__init__()
        self._picture = pictures.plain(3000)

    def routes(self) -> list[web.RouteDef]:
        """One path for each behaviour."""
        return [web.get("/{behaviour}/{anything:.*}", self._answer)]

    @property
    def picture(self) -> bytes:
        """What is served."""
        return self._picture

    def link(self, behaviour: Link, name: str) -> str:
        """A link of its own for each task: nothing may be kept from one to another."""
        return f"{self.url}/{behaviour}/{name}.png"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        match Link(request.match_info["behaviour"]):
            case Link.QUICK:
                return web.Response(body=self._picture, content_type="image/png")
            case Link.MISSING:
                raise web.HTTPNotFound
            case behaviour:
                response = web.StreamResponse(headers={"Content-Type": "image/png"})
                response.content_length = len(self._picture)
                with contextlib.suppress(ConnectionError):
                    await response.prepare(request)
                    await self._drip(response, is_endless=behaviour is Link.ENDLESS)
                return response

    async def _drip(self, response: web.StreamResponse, *, is_endless: bool) -> None:
        size = len(self._picture) // _DRIPS + 1
        for start in range(0, len(self._picture), size):
            await response.write(self._picture[start : start + size])
            await asyncio.sleep(_FOR_EVER_SECONDS if is_endless and start else _DRIP_SECONDS)
