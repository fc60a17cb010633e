"""Talking HTTP to a runtime: aiohttp's errors are translated into Darkroom's here, for every adapter."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from darkroom.errors import RuntimeUnavailable, RuntimeUnreachable
from darkroom.runtimes.body import FilledBody
from darkroom.runtimes.memory import Memory

_CONNECT_SECONDS = 10.0
_LONGEST_REASON = 600
_WITHOUT_ASKING_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes


@contextlib.contextmanager
def translated(server: URL) -> Iterator[None]:
    """Raise `RuntimeUnavailable` for whatever aiohttp raises when `server` does not answer."""
    server = server.with_user(None)  # errors are logged and notified, and this may hold a password
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise RuntimeUnreachable(f"the runtime at {server} cannot be reached: {why_not_reached(error)}") from None
    except TimeoutError:
        raise RuntimeUnavailable(f"the runtime at {server} did not answer in time") from None
    except (aiohttp.ClientError, ConnectionError) as error:
        reason = str(error) or type(error).__name__
        raise RuntimeUnavailable(f"the runtime at {server} went away: {reason}") from None


class RuntimeHttp:
    """Requests to one runtime's server. The session is shared, and its own timeouts do not apply."""

    def __init__(self, session: aiohttp.ClientSession, server: URL) -> None:
        self.session = session
        self.server = server

    async def get(self, path: str, *, timeout_seconds: float, **query: str) -> Answer:
        """GET `path`. Raises `RuntimeUnavailable`."""
        return await self._request("GET", path, None, timeout_seconds, query)

    async def post(
        self,
        path: str,
        body: bytes | FilledBody | None,
        *,
        timeout_seconds: float | None,
        memory: Memory | None = None,
    ) -> Answer:
        """POST a JSON text; no limit where `timeout_seconds` is None. Raises `RuntimeUnavailable`.

        Where the answer may be large, `memory` is asked for it, and for the pictures that stand in it as base64: this
        raises `MemoryExceeded`.
        """
        return await self._request("POST", path, body, timeout_seconds, {}, memory)

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | FilledBody | None,
        timeout_seconds: float | None,
        query: dict[str, str],
        memory: Memory | None = None,
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)
        url = self.server.joinpath(path, encoded=True).with_query(query)
        # A stream, for aiohttp writes plain bytes in one piece, however large, and warns that the loop stands still.
        data = body.chunks() if isinstance(body, FilledBody) else io.BytesIO(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if isinstance(body, FilledBody):
            headers["Content-Length"] = str(body.sent_bytes)
        with translated(self.server):
            async with self.session.request(method, url, data=data, headers=headers, timeout=timeout) as response:
                if memory is None:
                    return Answer(response.status, await response.read())
                return Answer(response.status, await _read(response, memory))


async def _read(response: aiohttp.ClientResponse, memory: Memory) -> bytes:
    """The body, for which memory is reserved before it is read."""
    reserved = _WITHOUT_ASKING_BYTES
    if response.content_length is not None and response.content_length > reserved:
        reserved = response.content_length
        await memory.wait_for(_with_pictures(reserved))
    # What grows in a buffer of this kind is not copied when it is taken out.
    buffer = io.BytesIO()
    async for chunk in response.content.iter_any():
        buffer.write(chunk)
        if buffer.tell() > reserved:  # the server did not say how much would come
            reserved = max(memory.maximum_bytes * 4 // 7, buffer.tell())
            await memory.wait_for(_with_pictures(reserved))
    if buffer.tell() > _WITHOUT_ASKING_BYTES:
        memory.resize(_with_pictures(buffer.tell()))
    return buffer.getvalue()


def _with_pictures(text_bytes: int) -> int:
    """A text that is base64 for the greater part, and what it decodes to."""
    return text_bytes * 7 // 4


def why_not_reached(error: aiohttp.ClientConnectorError) -> str:
    """The operating system's own words: asyncio's hold the address as Python writes it."""
    code = error.os_error.errno
    if code is None or code not in errno.errorcode or isinstance(error.os_error, socket.gaierror):
        return str(error.os_error.strerror or type(error.os_error).__name__)
    return os.strerror(code)


def as_text(value: Any) -> str:
    """What a server's JSON holds where a text is usual, for a message: text as it is, and all else as JSON again."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def shorten(text: str) -> str:
    """`text` on one line, cut where it is longer than anybody wants to read in a notification."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
