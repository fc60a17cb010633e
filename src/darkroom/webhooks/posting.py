"""Sends one webhook, and returns what its receiver answered: by the rules for links, without waiting for anybody long.

Where a socket is made its address is judged, so that a name that leads into a private network, now or at the second
look, is not followed. Redirects are not followed either. Of an answer the status and Retry-After are read and nothing
else: what a receiver writes after that, and for how long, is its own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from darkroom.policy.links import Address, WebLink, credentials_reason, forbidden_reason
from darkroom.policy.webhook_tries import Answered, NotAnswered, retry_after
from darkroom.policy.webhook_urls import fault_of_url, web_address
from darkroom.redaction import without_url_secrets
from darkroom.runtimes.http import why_not_reached
from darkroom.runtimes.judged_sockets import judged_sockets, note_refusals
from darkroom.runtimes.names import OwnThreadsResolver

TIMEOUT_SECONDS = 15.0
_LONGEST_REASON = 300
_HEADERS = {"Content-Type": "application/json", "User-Agent": "darkroom", "Accept-Encoding": "identity"}


class Posting:
    """Sends webhooks. `close` gives back what it holds.

    `allow_private` lets them go into private networks, as on one machine, though never to where clouds keep their
    credentials. `judge` says why an address may not be connected to, or None; it and `resolver` are for tests.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        allow_private: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        judge: Callable[[Address], str | None] = forbidden_reason,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._make_socket = judged_sockets(credentials_reason if allow_private else judge)
        self._resolver = resolver or OwnThreadsResolver()
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> Answered | NotAnswered:
        """Send `body`, and return what came of it; nothing is raised."""
        link = web_address(url)
        if link is None:
            return NotAnswered(_bounded(fault_of_url(url) or "it is not a valid URL"), is_final=True)
        refusals = note_refusals()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._send(link, body, headers)
        except TimeoutError:
            return NotAnswered(f"the receiver did not answer within {self._timeout_seconds:g} s", is_slow=True)
        except aiohttp.InvalidURL:
            return NotAnswered("it is not a valid URL", is_final=True)
        except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as error:
            if refusals:
                return NotAnswered(f"it leads to {refusals[0]}", is_final=True)
            return NotAnswered(_bounded(_why(error)))

    async def close(self) -> None:
        """Give back connections and threads."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._resolver.close()

    async def _send(self, link: WebLink, body: str, headers: Mapping[str, str]) -> Answered:
        # As it is: an address may be signed, letter by letter. A host of another script has to be translated.
        address = URL(link.target, encoded=link.target.isascii())
        response = await self._open_session().post(
            address, data=body.encode(), headers={**_HEADERS, **headers}, allow_redirects=False
        )
        # Not released but closed: nobody waits for the rest of the answer.
        response.close()
        return Answered(response.status, retry_after(response.headers.get("Retry-After"), self._now()))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                socket_factory=self._make_socket,
                # What was judged is one connection; a later request is judged again.
                force_close=True,
                use_dns_cache=False,
                limit=0,  # `darkroom.webhooks.receivers` bounds them
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return f"the receiver cannot be trusted: {error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"the receiver cannot be reached: {why_not_reached(error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):  # its text is an object's
        return "the receiver hung up before it had answered"
    return f"the receiver did not answer properly: {error or type(error).__name__}"


def _bounded(reason: str) -> str:
    reason = without_url_secrets(reason)
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} …"
