"""How a file is marked before it is stored: it says that a machine made it, and a signature vouches for that.

    source type in XMP ──► Content Credentials, signed last ──► stored
                                     │
                                     └── beside it, where the format has no place for them (`.c2pa`)

Both happen in a thread while the next task already has the device. The copies that they take are reserved in the
memory's budget first. A file that is too large to be held goes by way of the disk.

A fault costs the signature and never the picture: it is stored with its source type alone, and the task's end says so.
Only where signatures are required does the fault go on, as one that is tried again.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, TypeVar

from darkroom.agent.budget import Pool
from darkroom.agent.clock import Clock
from darkroom.agent.signers import Signers
from darkroom.errors import PictureUnsignable, SigningFailure, SigningUnavailable
from darkroom.policy.media_types import MediaType
from darkroom.provenance.formats import MARK, can_embed, signing_bytes
from darkroom.provenance.labels.files import LABELLERS, labelled
from darkroom.provenance.manifest import manifest_of
from darkroom.provenance.origin import KeepIngredient, Origin
from darkroom.provenance.signing import PictureSigner
from darkroom.provenance.source_types import mentions
from darkroom.runtimes.protocol import StreamedBody
from darkroom.tasks.notification import Credentials, PictureProvenance

_MARKED_KINDS = frozenset({"image", "video", "audio"})
# What is streamed lies on the disk twice while it is signed; a pod's scratch space has 1 GiB.
LARGEST_SPOOLED_BYTES = 256 * 1024 * 1024
# Native code and a remote key may take long; a picture does not wait for ever.
_LONGEST_SECONDS = 45.0
_REQUIRED_TRIES = 3
_BETWEEN_TRIES_SECONDS = 1.0
_CHUNK_BYTES = 256 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Marked:
    """A file as it is to be stored, its credentials where they lie beside it, and what is told of both.

    `form` says how it was marked, and nothing that differs when the same is done again, as a signature does.
    """

    body: bytes | StreamedBody
    provenance: PictureProvenance | None = None
    sidecar: bytes | None = None
    fault: str | None = None

    @property
    def form(self) -> str:
        """How it was marked, in a word or two."""
        told = self.provenance
        return "" if told is None else f"{told.credentials.value} {told.digital_source_type or ''}"


class Marking:
    """Marks the files of one agent. Without `signers` none is signed: each only says what it is.

    `room` is the memory that the copies may take; `version` is Darkroom's own; `keep` is for files that the runtime has
    signed itself; `threads` is how many files are labelled or signed at once.
    """

    def __init__(
        self,
        signers: Signers | None,
        room: Pool,
        clock: Clock,
        *,
        keep: KeepIngredient | None = None,
        required: bool = False,
        version: str = "",
        threads: int = 1,
        largest_spooled_bytes: int = LARGEST_SPOOLED_BYTES,
    ) -> None:
        self._signers = signers
        self._room = room
        self._clock = clock
        self._keep = keep
        self._required = required
        self._version = version
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="provenance")
        self._largest_spooled_bytes = largest_spooled_bytes
        self._spooling = asyncio.Lock()

    def refuse_if_unable(self) -> None:
        """Raise the fault by which nothing could be signed a moment ago, where signatures are required.

        A picture that could not be stored need not be made.
        """
        if self._required and self._signers is not None:
            self._signers.refuse_while_failing()

    @asynccontextmanager
    async def marked(
        self, origin: Origin | None, number: int, body: bytes | StreamedBody, media_type: MediaType
    ) -> AsyncIterator[Marked]:
        """Mark picture `number`, counted from 1; what is yielded is good until the end of the `async with`.

        Raises `SigningFailure` where signatures are required, and what a streamed body raises.
        """
        async with AsyncExitStack() as stack:
            if origin is None or media_type.kind not in _MARKED_KINDS:
                yield Marked(body)
            elif isinstance(body, StreamedBody):
                yield await self._mark_stream(origin, number, body, media_type, stack)
            else:
                await stack.enter_async_context(self._reserved(len(body), media_type))
                yield await self._mark_bytes(origin, number, body, media_type)

    def close(self) -> None:
        """Wait for nobody: what still signs is of no use any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _mark_bytes(self, origin: Origin, number: int, body: bytes, media_type: MediaType) -> Marked:
        def label() -> tuple[bytes, str | None]:
            found = labelled(body, media_type, origin.source_type)
            if found is not None:
                return found, origin.source_type
            return body, next(iter(sorted(mentions(body))), None)

        # Not in the threads that sign: what says only what it is waits for no signature.
        whole, told = await asyncio.to_thread(label)
        embeds = can_embed(media_type, body)

        def sign(signer: PictureSigner) -> tuple[bytes, bytes | None]:
            ingredients = origin.ingredients_of(number)
            if self._keep is not None and MARK in body:  # from a runtime that signs: its words stay, below ours
                own = self._keep(io.BytesIO(body), media_type, 0, "what the runtime made")
                ingredients = ingredients if own is None else (own,)
            signed = io.BytesIO() if embeds else None
            manifest = self._manifest_of(origin, len(ingredients))
            credentials = signer.sign(manifest, media_type, io.BytesIO(whole), signed, ingredients)
            return (whole, credentials) if signed is None else (signed.getvalue(), None)

        result, fault = await self._signed(sign)
        return _unsigned(whole, told, fault) if result is None else _signed(result[0], told, result[1])

    async def _mark_stream(
        self, origin: Origin, number: int, body: StreamedBody, media_type: MediaType, stack: AsyncExitStack
    ) -> Marked:
        """Mark what is streamed: in memory where it fits, so that it gets its source type too, else on the disk."""
        if self._signers is None and media_type not in LABELLERS:
            return Marked(body)
        await stack.enter_async_context(self._spooling)
        source = stack.enter_context(_temporary_file())
        try:
            size = await self._spool(body, source)
        except OSError as error:  # the disk is full
            size, why = None, f"it does not fit on the agent's disk: {error.strerror}"
        else:
            why = f"it is larger than {self._largest_spooled_bytes // 1024**2} MiB"
        if size is None:
            if self._required and self._signers is not None:
                raise PictureUnsignable(why)
            return _unsigned(body, None, None if self._signers is None else why)
        await stack.enter_async_context(self._reserved(size, media_type))
        if media_type in LABELLERS and signing_bytes(size, media_type) + size <= self._room.maximum_bytes:
            source.seek(0)
            return await self._mark_bytes(origin, number, await asyncio.to_thread(source.read), media_type)
        signed = stack.enter_context(_temporary_file()) if can_embed(media_type, b"") else None

        def sign(signer: PictureSigner) -> bytes:
            source.seek(0)
            if signed is not None:
                signed.seek(0)
                signed.truncate()
            ingredients = origin.ingredients_of(number)
            return signer.sign(self._manifest_of(origin, len(ingredients)), media_type, source, signed, ingredients)

        credentials, fault = await self._signed(sign)
        stored = StreamedBody(
            body.head, lambda: self._read(source if credentials is None or signed is None else signed)
        )
        if credentials is None:
            return _unsigned(stored, None, fault)
        return _signed(stored, None, credentials if signed is None else None)

    async def _signed(self, sign: Callable[[PictureSigner], T]) -> tuple[T | None, str | None]:
        """Sign, or say why not: with neither, nobody has set it up. Raises `SigningFailure` where it is required."""
        if self._signers is None:
            return None, None
        fault: SigningFailure | None = None
        for attempt in range(_REQUIRED_TRIES if self._required else 1):
            if attempt:
                await self._clock.sleep(_BETWEEN_TRIES_SECONDS * 2**attempt)
            try:
                return await self._sign_once(self._signers, sign), None
            except SigningUnavailable as error:
                fault = error
            except PictureUnsignable as error:
                fault = error
                break
        if self._required and fault is not None:
            raise fault
        return None, str(fault)

    async def _sign_once(self, signers: Signers, sign: Callable[[PictureSigner], T]) -> T:
        signer = await signers.get()
        try:
            try:
                result = await self._in_thread(lambda: sign(signer))
            except SigningUnavailable as error:
                if not signer.stamps_time:
                    raise
                # A signature without a time is better than none, and the authority is somebody else's server.
                untimed = signers.without_timestamp(signer, error)
                result = await self._in_thread(lambda: sign(untimed))
        except SigningUnavailable as error:
            signers.failed(error)
            raise
        signers.succeeded()
        return result

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise SigningUnavailable(f"signing took longer than {_LONGEST_SECONDS:g} s") from None

    def _manifest_of(self, origin: Origin, ingredients: int) -> dict[str, object]:
        when = datetime.fromtimestamp(self._clock.now(), UTC)
        return manifest_of(origin, ingredients, version=self._version, when=when)

    @asynccontextmanager
    async def _reserved(self, size_bytes: int, media_type: MediaType) -> AsyncIterator[None]:
        """Hold room for the copies; what needs more than there is has all of it to itself."""
        needed = min(signing_bytes(size_bytes, media_type), self._room.maximum_bytes)
        await self._room.reserve(needed)
        try:
            yield
        finally:
            self._room.release(needed)

    async def _spool(self, body: StreamedBody, file: BinaryIO) -> int | None:
        """Write a stream to the disk, and return its size; None where it is too large."""
        size = 0
        async for chunk in body.chunks():
            size += len(chunk)
            if size > self._largest_spooled_bytes:
                return None
            await asyncio.to_thread(file.write, chunk)
        return size

    async def _read(self, file: BinaryIO) -> AsyncIterator[bytes]:
        file.seek(0)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


def _temporary_file() -> BinaryIO:
    return tempfile.TemporaryFile()


def _unsigned(body: bytes | StreamedBody, told: str | None, fault: str | None) -> Marked:
    return Marked(body, PictureProvenance(credentials=Credentials.NONE, digital_source_type=told), fault=fault)


def _signed(body: bytes | StreamedBody, told: str | None, sidecar: bytes | None) -> Marked:
    how = Credentials.EMBEDDED if sidecar is None else Credentials.SIDECAR
    return Marked(body, PictureProvenance(credentials=how, digital_source_type=told), sidecar)
