"""Talking HTTP to a runtime: aiohttp's errors are translated into Darkroom's here, for every adapter."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from yarl import URL

from darkroom.errors import RuntimeUnavailable, RuntimeUnreachable

_CONNECT_SECONDS = 10.0
_LONGEST_REASON = 600


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
        raise RuntimeUnreachable(f"the runtime at {server} cannot be reached: {error.os_error.strerror}") from None
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

    async def post(self, path: str, body: bytes | None, *, timeout_seconds: float | None) -> Answer:
        """POST a JSON text; no limit where `timeout_seconds` is None. Raises `RuntimeUnavailable`."""
        return await self._request("POST", path, body, timeout_seconds, {})

    async def _request(
        self, method: str, path: str, body: bytes | None, timeout_seconds: float | None, query: dict[str, str]
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)
        url = self.server.joinpath(path, encoded=True).with_query(query)
        # A stream, for aiohttp writes plain bytes in one piece, however large, and warns that the loop stands still.
        data = io.BytesIO(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with translated(self.server):
            async with self.session.request(method, url, data=data, headers=headers, timeout=timeout) as response:
                return Answer(response.status, await response.read())


def shorten(text: str) -> str:
    """`text` on one line, cut where it is longer than anybody wants to read in a notification."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
