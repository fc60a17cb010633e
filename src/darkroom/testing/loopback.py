"""What every fake runtime is: a real HTTP server on loopback that a test, or a person, can start and take down."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from typing import Any, Self

import msgspec
from aiohttp import web

_LARGEST_BODY = 256 * 1024 * 1024


class LoopbackServer:
    """An aiohttp server on 127.0.0.1.

    `async with` starts and stops it; `crash()` takes it away as a kill would, with every connection cut; `start()`
    brings it back on the same port. Subclasses add their routes in `routes`.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    def routes(self) -> list[web.RouteDef]:
        """The routes that it serves."""
        raise NotImplementedError

    async def start(self) -> None:
        """Listen. Raises `OSError` when the port is taken."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.add_routes(self.routes())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening and end every request."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def crash(self) -> None:
        """Vanish as a killed process does: every connection is cut without an answer."""
        if self._runner is not None and self._runner.server is not None:
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        await self.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def cut(request: web.Request) -> None:
    """Cut the connection of `request` without an answer."""
    if request.transport is not None:
        request.transport.abort()


async def serve(server: LoopbackServer) -> None:
    """Run `server` until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with server:
        sys.stderr.write(f"{type(server).__name__} listens on {server.url}\n")
        await stopped.wait()


def argument_parser(description: str, default_port: int) -> argparse.ArgumentParser:
    """The options that all fakes have when they run as processes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=default_port, help="port on 127.0.0.1 (default %(default)s)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that the device is busy with a picture")
    parser.add_argument("--plain", type=int, metavar="BYTES", help="send one prepared PNG of that size, for load tests")
    parser.add_argument("--startup", type=float, default=0.0, help="seconds before the model is loaded")
    return parser


def run(server: LoopbackServer) -> None:
    """Run `server` as a process of its own; a taken port ends it with a message."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(server))
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{server.port}: {os.strerror(error.errno or 0)}")


def json_response(document: Any, status: int = 200) -> web.Response:
    """A JSON answer, as FastAPI and ComfyUI write it."""
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
