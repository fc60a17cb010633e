"""Files are marked within the memory that there is: at once, one after the other, or by way of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.certificates import Authority
from tests.credentials import read
from tests.media_samples import FILMS, FILMS_WITHOUT_A_PLACE, film_frames_of, frames_of, picture

from darkroom.agent.budget import Pool
from darkroom.agent.clock import Clock
from darkroom.agent.marking import Marked, Marking
from darkroom.agent.signers import Signers
from darkroom.errors import PictureUnsignable, RuntimeUnavailable
from darkroom.policy.media_types import MediaType, recognise
from darkroom.provenance.certificate import read_material
from darkroom.provenance.library import Signer
from darkroom.provenance.origin import Origin
from darkroom.provenance.signing import PictureSigner
from darkroom.provenance.source_types import mentions
from darkroom.runtimes.protocol import StreamedBody
from darkroom.tasks.notification import Credentials
from darkroom.tasks.task import TaskKind

AUTHORITY = Authority()
SIGNER = Signer(read_material(AUTHORITY.issue()))
GENERATED = "trainedAlgorithmicMedia"
ORIGIN = Origin(kind=TaskKind.PIPELINE, runtime="r", runtime_type="comfyui", source_type=GENERATED)


async def open_signer() -> PictureSigner:
    return SIGNER


def marking(room: Pool | None = None, **options: Any) -> Marking:
    return Marking(Signers(open_signer, Clock()), room or Pool(16 * 1024 * 1024), Clock(), **options)


def kind_of(data: bytes) -> MediaType:
    media_type = recognise(data)
    assert media_type is not None
    return media_type


def streamed(data: bytes, fail: Callable[[], Exception] | None = None) -> StreamedBody:
    async def chunks() -> AsyncIterator[bytes]:
        for place in range(0, len(data), 1000):
            yield data[place : place + 1000]
        if fail is not None:
            raise fail()

    return StreamedBody(data[:1000], chunks)


async def whole(body: bytes | StreamedBody) -> bytes:
    if isinstance(body, bytes):
        return body
    return b"".join([chunk async for chunk in body.chunks()])


async def mark(marks: Marking, body: bytes | StreamedBody, data: bytes) -> tuple[Marked, bytes]:
    async with marks.marked(ORIGIN, 1, body, kind_of(data)) as found:
        first, again = await whole(found.body), await whole(found.body)
        assert first == again, "a name that was free may turn out to be taken"
        return found, first


async def test_what_is_streamed_and_fits_is_labelled_and_signed_like_what_is_held() -> None:
    data = picture("PNG")
    found, after = await mark(marking(), streamed(data), data)
    assert found.provenance is not None
    assert found.provenance.digital_source_type == GENERATED
    assert read(after, "image/png", AUTHORITY.root).state == "Trusted"
    assert frames_of(after) == frames_of(data)


async def test_what_does_not_fit_is_signed_on_the_disk() -> None:
    data, room = FILMS["mp4"](), Pool(1000)
    found, after = await mark(marking(room), streamed(data), data)
    assert isinstance(found.body, StreamedBody)
    assert found.provenance is not None
    assert found.provenance.credentials is Credentials.EMBEDDED
    signed = read(after, "video/mp4", AUTHORITY.root)
    assert (signed.state, signed.actions) == ("Trusted", [("c2pa.created", GENERATED)])
    assert film_frames_of(after) == film_frames_of(data)
    assert room.held_bytes == 0


async def test_a_stream_that_cannot_hold_credentials_has_them_beside_it() -> None:
    data = FILMS_WITHOUT_A_PLACE["webm"]()
    found, after = await mark(marking(), streamed(data), data)
    assert after == data
    assert found.sidecar is not None
    assert read(after, "video/webm", AUTHORITY.root, found.sidecar).state == "Trusted"


async def test_what_is_too_large_for_the_disk_is_stored_as_it_comes_and_says_so() -> None:
    data = FILMS["mp4"]()
    found, after = await mark(marking(largest_spooled_bytes=len(data) - 1), streamed(data), data)
    assert after == data
    assert found.fault is not None
    assert "larger than" in found.fault
    required = marking(largest_spooled_bytes=len(data) - 1, required=True)
    with pytest.raises(PictureUnsignable, match="larger than"):
        await mark(required, streamed(data), data)


async def test_a_runtime_that_goes_away_while_it_streams_is_the_runtimes_fault() -> None:
    data, room = picture("PNG"), Pool(16 * 1024 * 1024)
    marks = marking(room)
    with pytest.raises(RuntimeUnavailable):
        await mark(marks, streamed(data, lambda: RuntimeUnavailable("gone")), data)
    assert room.held_bytes == 0
    await mark(marks, streamed(data), data)  # and nobody is kept from the next one


async def test_files_wait_for_each_other_where_there_is_no_room_for_both() -> None:
    data, room = picture("PNG"), Pool(100_000)
    marks, most = marking(room, threads=4), 0

    async def one() -> bytes:
        nonlocal most
        async with marks.marked(ORIGIN, 1, data, kind_of(data)) as found:
            most = max(most, room.held_bytes)
            await asyncio.sleep(0)
            return await whole(found.body)

    for after in await asyncio.gather(*(one() for _ in range(8))):
        assert read(after, "image/png", AUTHORITY.root).state == "Trusted"
    assert 0 < most <= room.maximum_bytes
    assert room.held_bytes == 0


async def test_what_needs_more_than_there_is_has_all_of_it_to_itself() -> None:
    data, room = picture("PNG"), Pool(2000)
    marks = marking(room, threads=4)
    for _, after in await asyncio.gather(*(mark(marks, data, data) for _ in range(4))):
        assert read(after, "image/png", AUTHORITY.root).state == "Trusted"
    assert room.held_bytes == 0


async def test_what_is_stopped_gives_back_its_room() -> None:
    data, room = picture("PNG"), Pool(100_000)
    marks = marking(room)
    task = asyncio.create_task(mark(marks, data, data))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room.held_bytes == 0
    await mark(marks, data, data)


async def test_without_signers_a_file_says_what_it_is_and_what_is_no_medium_stays() -> None:
    data = picture("PNG")
    only = Marking(None, Pool(100_000), Clock())
    found, after = await mark(only, data, data)
    assert mentions(after) == {GENERATED}
    assert found.fault is None
    assert found.provenance is not None
    assert found.provenance.credentials is Credentials.NONE
    latent = (34).to_bytes(8, "little") + b'{"latent_tensor":{"dtype":"F32"}}  '
    found, after = await mark(marking(), latent, latent)
    assert (after, found.provenance) == (latent, None)
