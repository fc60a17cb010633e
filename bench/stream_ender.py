"""A relay before a front door that lets streams of events be for a moment, and then ends them as a server would.

A stream has no end while nothing ends, and whoever reads whole answers would wait for it for ever. Every other byte
goes through as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_A_MOMENT_SECONDS = 0.3
_STREAM = b"content-type: text/event-stream"
_LAST_CHUNK = b"0\r\n\r\n"
_MOST_BYTES = 64 * 1024


@contextlib.contextmanager
def ending_streams(port: int) -> Iterator[int]:
    """Relay to `port` of this machine for the body of the `with`, from the port that it is given."""
    loop = asyncio.new_event_loop()
    ready, listening = threading.Event(), list[int]()

    async def listen() -> None:
        server = await asyncio.start_server(lambda reader, writer: _relay(reader, writer, port), "127.0.0.1", 0)
        listening.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            loop.run_until_complete(listen())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield listening[0]
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(10)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_pass_on(reader, their_writer))
    ends_at: float | None = None
    last = b""
    try:
        while True:
            try:
                async with asyncio.timeout_at(ends_at):
                    data = await their_reader.read(_MOST_BYTES)
            except TimeoutError:
                if not last.endswith(_LAST_CHUNK):
                    writer.write(_LAST_CHUNK)
                break
            if not data:
                break
            writer.write(data)
            await writer.drain()
            last = (last + data)[-len(_LAST_CHUNK) :]
            if last.endswith(_LAST_CHUNK):  # it ended by itself, and the connection goes on
                ends_at = None
            elif ends_at is None and _STREAM in data.lower():
                ends_at = asyncio.get_running_loop().time() + _A_MOMENT_SECONDS
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        sending.cancel()
        for one in (writer, their_writer):
            one.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_MOST_BYTES):
            writer.write(data)
            await writer.drain()
