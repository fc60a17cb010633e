"""A deadline holds for a whole call, whatever the server does: dead, hanging, dripping, or always too busy."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from darkroom.client import AsyncClient, Client, WaitTimeout
from darkroom.samples import read_sample
from darkroom.testing.free_port import free_port

pytestmark = pytest.mark.slow


DEADLINE_SECONDS = 1.0
# The machine may be busy; without a deadline each of these takes 30 s and more.
AT_MOST_SECONDS = 3.0
TOO_BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nRetry-After: 0\r\n\r\n{}"
DRIPPING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"


@contextmanager
def server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that treats each connection so, until the block ends."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def accept() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # the client has gone
                answer(connection, ended)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/prod"
        finally:
            ended.set()
            thread.join()


def hang(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait()


def refuse(connection: socket.socket, ended: threading.Event) -> None:
    while connection.recv(65536):
        connection.sendall(TOO_BUSY)


def drip(connection: socket.socket, ended: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(DRIPPING)
    while not ended.wait(0.1):
        connection.sendall(b" ")


@contextmanager
def dead() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}/prod"


def blocking(endpoint: str, method: str, *arguments: Any) -> None:
    with Client(endpoint, "secret", retries=1000) as client:
        getattr(client, method)(*arguments, timeout_seconds=DEADLINE_SECONDS)


def with_coroutines(endpoint: str, method: str, *arguments: Any) -> None:
    async def run() -> None:
        async with AsyncClient(endpoint, "secret", retries=1000) as client:
            await getattr(client, method)(*arguments, timeout_seconds=DEADLINE_SECONDS)

    asyncio.run(run())


@pytest.mark.parametrize("call", [blocking, with_coroutines])
@pytest.mark.parametrize("method", ["submit", "wait", "generate", "cancel", "download"])
@pytest.mark.parametrize(
    "place",
    [dead, lambda: server(hang), lambda: server(refuse), lambda: server(drip)],
    ids=["dead", "hanging", "429", "drip"],
)
def test_a_call_ends_at_its_deadline(place: Any, method: str, call: Any) -> None:
    sample = read_sample("v1alpha2-text-to-image")
    argument = sample if method in ("submit", "generate") else "test-t2i"
    with place() as endpoint:
        began = time.monotonic()
        with pytest.raises(WaitTimeout) as caught:
            call(endpoint, method, argument)
        took = time.monotonic() - began
    assert caught.value.task_id == "test-t2i"
    assert DEADLINE_SECONDS * 0.8 < took < AT_MOST_SECONDS
