"""`GET /metrics` by aiohttp: as a part of a process's own server, or as a server by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from darkroom.metrics.exposition import PATH, Exposition


def answering(exposition: Exposition) -> Callable[[web.Request], Awaitable[web.Response]]:
    """What answers such a request."""

    async def answer(request: web.Request) -> web.Response:
        body, content_type = exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return answer


@asynccontextmanager
async def serving(exposition: Exposition, host: str, port: int) -> AsyncIterator[None]:
    """Serve for the body of the `async with`. Raises `OSError` when the port is taken."""
    app = web.Application()
    app.router.add_get(PATH, answering(exposition))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
