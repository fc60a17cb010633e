"""Fetching what links in a request lead to, without being led where nobody may go.

Whether an address may be connected to is decided where the socket is made, for the very address that it is made for. A
name that answers differently the second time, a redirect, or an address written in a form of its own makes no
difference there.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from darkroom.errors import AwsDenied, AwsRefused, AwsUnexplained, LinkFailure, LinkRefused, LinkUnreachable
from darkroom.policy.links import NO_URL, Address, BucketLink, WebLink, credentials_reason, forbidden_reason, parse_link
from darkroom.policy.media_types import PICTURES, Kinds
from darkroom.policy.object_owners import OWNER_HEADER
from darkroom.runtimes.http import why_not_reached
from darkroom.runtimes.judged_sockets import judged_sockets, note_refusals
from darkroom.runtimes.link_terms import OpenS3, Terms, require_kind, require_own
from darkroom.runtimes.memory import Memory, Unbounded
from darkroom.runtimes.names import OwnThreadsResolver
from darkroom.runtimes.protocol import InputFile
from darkroom.runtimes.unpacking import unpacked
from darkroom.settings import LinkSettings

MAXIMUM_LINKS = 32  # in one task
_PARALLEL = 8  # in one task
_STALLED_BYTES, _STALLED_SECONDS = 16 * 1024, 10.0
_MAXIMUM_REDIRECTS = 5
_CHUNK_BYTES = 64 * 1024
_STEP_BYTES = 1024 * 1024  # by which memory is asked for where a size is not known
_ENOUGH_TO_RECOGNISE = 64
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
_COMPRESSIONS = frozenset({"identity", "", "gzip", "x-gzip"})
# Compressed answers are not asked for, but objects may be stored that way.
_HEADERS = {"User-Agent": "darkroom", "Accept": "image/*, */*;q=0.8", "Accept-Encoding": "identity"}


class LinkFetcher:
    """Turns links into files. `close` gives back its connections.

    Nothing is kept from one task to the next: a link is what it leads to now. What belongs to a caller is fetched for
    that caller's tasks alone, and for nobody's: these come from people with access to AWS.

    A server that delivers fewer than `stalled` bytes in so many seconds is given up, long before a link's time is over.
    `own_bucket` is the agent's, which it may read: what is denied there is denied for a while.
    `is_emulated`: S3 is an emulator's, which shows everything to everybody, so its web addresses are judged alike.
    `judge` says why an address may not be connected to, or None; `resolver` is for tests.
    """

    def __init__(
        self,
        settings: LinkSettings,
        open_s3: OpenS3,
        *,
        is_emulated: bool = False,
        own_bucket: str | None = None,
        judge: Callable[[Address], str | None] = forbidden_reason,
        resolver: AbstractResolver | None = None,
        stalled: tuple[int, float] = (_STALLED_BYTES, _STALLED_SECONDS),
    ) -> None:
        self._settings = settings
        self._open_s3 = open_s3
        self._is_emulated = is_emulated
        self._own_bucket = own_bucket
        self._judge = judge
        self._resolver = resolver or OwnThreadsResolver()
        self._stalled_bytes, self._stalled_seconds = stalled
        self._session: aiohttp.ClientSession | None = None

    async def fetch_all(
        self, wanted: Mapping[str, Kinds], memory: Memory | None = None, caller: str = ""
    ) -> Mapping[str, InputFile]:
        """What each link leads to, which must be of one of its kinds; all at once, and the first that fails ends it.

        It is fetched for a task of `caller`; "" is nobody.

        What is read is taken from `memory` first. Raises `LinkRefused`, `LinkUnreachable` or `MemoryExceeded`;
        `AwsUnavailable` while S3 is away, which is no fault of a link; and `NoRoom`, when all is to be tried again as
        soon as there is room.
        """
        if len(wanted) > MAXIMUM_LINKS:
            raise LinkRefused(list(wanted)[MAXIMUM_LINKS], f"the request holds more than {MAXIMUM_LINKS} links")
        # Each task has slots of its own: what hangs in one must not keep another's links waiting.
        slots = asyncio.Semaphore(_PARALLEL)

        async def fetch(url: str, kinds: Kinds) -> InputFile:
            async with slots:
                return await self.fetch(url, memory, kinds, caller)

        tasks = [asyncio.create_task(fetch(url, kinds)) for url, kinds in wanted.items()]
        try:
            return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def fetch(
        self, url: str, memory: Memory | None = None, kinds: Kinds = PICTURES, caller: str = ""
    ) -> InputFile:
        """What `url` leads to. Raises what `fetch_all` does."""
        link, terms = parse_link(url), Terms(memory or Unbounded(), kinds, caller)
        limit = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                data = await (
                    self._read_web(link, terms) if isinstance(link, WebLink) else self._read_bucket(link, terms)
                )
        except TimeoutError:
            raise LinkUnreachable(url, f"it was not delivered within {limit:g} s") from None
        media_type = require_kind(link.url, data, kinds)
        return InputFile(url, data, media_type.content_type, media_type.extension)

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._resolver.close()

    async def _read_bucket(self, link: BucketLink, terms: Terms) -> bytes:
        if link.bucket not in self._settings.buckets:
            allowed = ", ".join(self._settings.buckets) or "none"
            raise LinkRefused(link.url, f"links into the bucket {link.bucket!r} are not allowed; allowed: {allowed}")
        try:
            return await self._read_first(link, terms)
        except AwsDenied as error:
            # The agent may read its own bucket: what is denied there passes, and is not the request's fault.
            is_own = link.bucket == self._own_bucket
            raise (LinkUnreachable if is_own else LinkRefused)(link.url, str(error)) from None
        except AwsRefused as error:
            raise LinkRefused(link.url, str(error)) from None
        except AwsUnexplained as error:
            raise LinkUnreachable(link.url, str(error)) from None

    async def _read_first(self, link: BucketLink, terms: Terms) -> bytes:
        """The first object that is there; without the right to list, S3 says of others that they must not be read."""
        *likelier, last = link.keys
        for key in likelier:
            with contextlib.suppress(AwsDenied, AwsRefused):
                return await self._read_object(link, key, terms)
        return await self._read_object(link, last, terms)

    async def _read_object(self, link: BucketLink, key: str, terms: Terms) -> bytes:
        async with self._open_s3(link.bucket, key) as opened:
            require_own(link.url, opened.owner, terms)
            return await self._read_body(link.url, opened.size, opened.chunks, terms)

    async def _read_web(self, link: WebLink, terms: Terms) -> bytes:
        """Follow redirects by hand: each is judged like the link itself."""
        url = link.target
        for _ in range(_MAXIMUM_REDIRECTS + 1):
            answer = await self._request(link, url, terms)
            if isinstance(answer, bytes):
                return answer
            target = parse_link(answer)
            if not isinstance(target, WebLink):
                raise LinkRefused(link.url, f"it redirects to {answer}, which is not a web address")
            url = target.target
        raise LinkRefused(link.url, f"it redirects more than {_MAXIMUM_REDIRECTS} times")

    async def _request(self, asked: WebLink, url: str, terms: Terms) -> bytes | str:
        """The data at `url`, or where it redirects to. `asked` is what the user wrote, for errors."""
        link = asked.url
        refusals = note_refusals()
        where = "" if url == asked.target else f" (redirected to {url})"
        try:
            # As it is: an address may be signed, letter by letter. A host of another script has to be translated.
            address = URL(url, encoded=url.isascii())
            async with self._open_session().get(address, allow_redirects=False, headers=_HEADERS) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return _join(link, url, response.headers["Location"])
                if response.status != 200:
                    own_fault = response.status >= 500 or response.status in _WORTH_ANOTHER_TRY
                    reason = f"its server answered {response.status} {response.reason}{where}"
                    raise (LinkUnreachable if own_fault else LinkRefused)(link, reason)
                if self._is_emulated:
                    require_own(link, response.headers.get(OWNER_HEADER, ""), terms)
                chunks = response.content.iter_chunked(_CHUNK_BYTES)
                compression = response.headers.get("Content-Encoding", "identity")
                hint = f"; its server calls it {response.content_type}"
                if compression.lower() not in _COMPRESSIONS:
                    hint = f"; its server compresses it as {compression}, which is not unpacked here"
                return await self._read_body(link, response.content_length, chunks, terms, hint)
        except aiohttp.InvalidURL:  # errors of URLs quote them, and what should be a port may be a password
            raise LinkRefused(link, f"{NO_URL}{where}") from None
        except aiohttp.ClientSSLError as error:
            raise LinkRefused(link, f"its server cannot be trusted: {error}{where}") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):
                raise
            if refusals:
                raise LinkRefused(link, f"it leads to {refusals[0]}{where}") from None
            if isinstance(error, aiohttp.ClientConnectorError):
                away = f"its server cannot be reached: {why_not_reached(error)}{where}"
                raise LinkUnreachable(link, away) from None
            raise LinkUnreachable(link, f"{error or type(error).__name__}{where}") from None
        except ValueError:
            raise LinkRefused(link, f"{NO_URL}{where}") from None

    async def _read_body(
        self, link: str, size: int | None, chunks: AsyncIterator[bytes], terms: Terms, hint: str = ""
    ) -> bytes:
        """All of `chunks`, unpacked, whose size may be known beforehand. `hint` helps where it is no picture."""
        if (size or 0) > self._settings.maximum_bytes:
            raise self._too_large(link)
        taken = size or 0
        terms.memory.take(taken)
        # What grows in a buffer of this kind is not copied when it is taken out.
        data, is_recognised = io.BytesIO(), False
        async for chunk in unpacked(link, self._flowing(link, chunks)):
            length = data.tell() + len(chunk)
            if length > self._settings.maximum_bytes:
                raise self._too_large(link)
            if length > taken:
                terms.memory.take(_STEP_BYTES)
                taken += _STEP_BYTES
            data.write(chunk)
            if not is_recognised and length >= _ENOUGH_TO_RECOGNISE:
                require_kind(link, bytes(data.getbuffer()[:_CHUNK_BYTES]), terms.kinds, hint)
                is_recognised = True
        return data.getvalue()

    async def _flowing(self, link: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`chunks`, as long as they come at a speed that leads to an end."""
        loop, arrived = asyncio.get_running_loop(), 0
        until = loop.time() + self._stalled_seconds
        while True:
            try:
                async with asyncio.timeout_at(until):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                least, seconds = self._stalled_bytes, self._stalled_seconds
                raise LinkUnreachable(link, f"its server delivers fewer than {least} bytes in {seconds:g} s") from None
            if chunk is None:
                return
            arrived += len(chunk)
            if arrived >= self._stalled_bytes:
                arrived, until = 0, loop.time() + self._stalled_seconds
            yield chunk

    def _too_large(self, link: str) -> LinkFailure:
        return LinkRefused(link, f"it is larger than {self._settings.maximum_bytes} bytes")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                socket_factory=judged_sockets(credentials_reason if self._settings.allow_private else self._judge),
                # What was judged is one connection; a later request is judged again.
                force_close=True,
                limit=0,  # links of one task must not wait for those of another
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _join(link: str, url: str, location: str) -> str:
    try:
        return str(URL(url).join(URL(location)))
    except ValueError:
        raise LinkRefused(link, "it redirects to something that is not a URL") from None
