"""A receiver of webhooks on loopback: one that takes everything, or is slow, or lies about what it does.

    python -m darkroom.testing.fake_receiver --port 9000 --behaviour slow

It speaks HTTP by hand, because a library would not let it break the rules.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

_LONGEST_HEAD = 64 * 1024


class Behaviour(StrEnum):
    """What becomes of a request. `lying` is every kind of lie in turn."""

    GOOD = "good"
    SLOW = "slow"
    LYING = "lying"


class Lie(StrEnum):
    """An answer that is none, or is another one than it looks like."""

    ENDLESS_BODY = "endless-body"
    ENDLESS_HEAD = "endless-head"
    REDIRECT = "redirect"
    NOT_HTTP = "not-http"
    CUT = "cut"
    EMPTY = "empty"


@dataclass(frozen=True)
class Received:
    """One request, and when it came (seconds since 1970). Names of headers are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass
class FakeReceiver:
    """Listens while it is open. `statuses` are the next answers of a good one, which are 204 after them.

    `headers` go with every answer; `received` has all requests that came in whole, `connections` how many are open.
    """

    behaviour: Behaviour | Lie = Behaviour.GOOD
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    most_connections: int = 0

    def url(self, path: str = "/hook") -> str:
        """Where it is told."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def idle(self) -> None:
        """Wait until no connection is open."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._lies = itertools.cycle(Lie)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_LONGEST_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                self.received.append(await _read(reader))
                behaviour = next(self._lies) if self.behaviour is Behaviour.LYING else self.behaviour
                await self._answer(behaviour, writer)
        except asyncio.CancelledError:  # the end of the test
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def _answer(self, behaviour: Behaviour | Lie, writer: asyncio.StreamWriter) -> None:
        match behaviour:
            case Behaviour.SLOW:
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while not writer.transport.is_closing():  # something always comes, so silence does not give it away
                    writer.write(b"x: y\r\n")
                    await writer.drain()
                    await asyncio.sleep(1)
            case Lie.ENDLESS_BODY:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            case Lie.ENDLESS_HEAD:
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    writer.write(b"x: y\r\n" * 1000)
                    await writer.drain()
            case Lie.REDIRECT:
                writer.write(f"HTTP/1.1 307 Go\r\nlocation: {self.url('/elsewhere')}\r\n\r\n".encode())
            case Lie.NOT_HTTP:
                writer.write(b"220 mail.example.com ESMTP\r\n")
            case Lie.CUT:
                writer.write(b"HTTP/1.1 200 O")
            case Lie.EMPTY:
                return
            case _:
                status = self.statuses.pop(0) if self.statuses else 204
                lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in self.headers.items())]
                writer.write("\r\n".join([*lines, "content-length: 0", "", ""]).encode())
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, body, time.time())


async def _run(behaviour: Behaviour, port: int) -> None:
    async with FakeReceiver(behaviour, port):
        await asyncio.Event().wait()


def main() -> None:
    """Listen until somebody ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behaviour", type=Behaviour, choices=[*Behaviour], default=Behaviour.GOOD)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments.behaviour, arguments.port))


if __name__ == "__main__":
    main()
