"""Unpacking what was compressed, piece by piece, so that whoever reads it can stop in time."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from darkroom.errors import LinkRefused, LinkUnreachable

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's number for it
_PIECE_BYTES = 64 * 1024


async def unpacked(link: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`chunks`, unpacked where they are gzip by their own bytes: what a server says of them proves nothing.

    Raises `LinkRefused` for what cannot be unpacked, and `LinkUnreachable` for what is cut short; `link` is for these.
    """
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= len(_GZIP):
            break
    if not head.startswith(_GZIP):
        if head:
            yield head
        async for chunk in chunks:
            yield chunk
        return
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        for piece in _pieces(unpacker, head):
            yield piece
        async for chunk in chunks:
            for piece in _pieces(unpacker, chunk):
                yield piece
        while not unpacker.eof and (rest := unpacker.decompress(b"", _PIECE_BYTES)):
            yield rest
    except zlib.error as error:
        raise LinkRefused(link, f"it is compressed and cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise LinkUnreachable(link, "it is compressed, and cut short")


def _pieces(unpacker: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """What `packed` unpacks to, a little at a time: a kilobyte may stand for a megabyte."""
    while packed and not unpacker.eof:
        yield unpacker.decompress(packed, _PIECE_BYTES)
        packed = unpacker.unconsumed_tail
