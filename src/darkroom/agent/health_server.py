"""The HTTP server that a pod's probes ask, and Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from darkroom.agent.health import Health
from darkroom.metrics.exposition import PATH, Exposition
from darkroom.metrics.serving import answering


@asynccontextmanager
async def health_server(
    health: Health, host: str, port: int, exposition: Exposition | None = None
) -> AsyncIterator[None]:
    """Serve for the body of the `async with`. Raises `OSError` when the port is taken."""
    runner = web.AppRunner(create_health_app(health, exposition), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def create_health_app(health: Health, exposition: Exposition | None = None) -> web.Application:
    """Make the server of `GET /healthz` (liveness) and `GET /readyz`: 200 or 503, with the reasons.

    With `exposition`, `GET /metrics` answers Prometheus.
    """

    def answer(good: bool) -> web.Response:
        body = msgspec.json.encode(health.report())
        return web.Response(status=200 if good else 503, body=body, content_type="application/json")

    async def healthz(_: web.Request) -> web.Response:
        return answer(health.live)

    async def readyz(_: web.Request) -> web.Response:
        return answer(health.ready)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    if exposition is not None:
        app.router.add_get(PATH, answering(exposition))
    return app
