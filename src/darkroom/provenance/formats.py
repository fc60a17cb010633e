"""Which files Content Credentials can stand in, and what signing one takes: facts about the library, without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from darkroom.policy import media_types
from darkroom.policy.media_types import MediaType

# The files in which credentials can stand, by the library's own name for their kind. Beside all others they lie in a
# file of their own.
EMBEDDING: Mapping[MediaType, str] = {
    media_types.PNG: "image/png",
    media_types.APNG: "image/png",
    media_types.JPEG: "image/jpeg",
    media_types.WEBP: "image/webp",
    media_types.GIF: "image/gif",
    media_types.TIFF: "image/tiff",
    media_types.AVIF: "image/avif",
    media_types.HEIC: "image/heic",
    media_types.SVG: "image/svg+xml",
    media_types.MP4: "video/mp4",
    media_types.QUICKTIME: "video/quicktime",
    media_types.WAV: "audio/wav",
    media_types.MP3: "audio/mpeg",
    media_types.FLAC: "audio/flac",
}
# What follows a page says where the next one is; 0 says that it was the last.
_BYTE_ORDERS: Mapping[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
SIDECAR = MediaType("c2pa", "application/c2pa")
# How a superbox of C2PA begins, wherever it stands in a file: the identifier of its kind.
MARK = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
# What the library holds while it signs, as a multiple of the file's size, as measured.
_NATIVE_COPIES = {media_types.JPEG: 4.0, media_types.WEBP: 1.0, media_types.TIFF: 1.0, media_types.GIF: 1.0}
_OVERHEAD_BYTES = 64 * 1024


def can_embed(media_type: MediaType, data: bytes) -> bool:
    """Whether credentials can stand in this file. The library breaks all pages of a TIFF but the first."""
    return media_type in EMBEDDING and not (media_type is media_types.TIFF and not _is_single_page(data))


def _is_single_page(tiff: bytes) -> bool:
    order = _BYTE_ORDERS.get(tiff[:2], "little")
    page = int.from_bytes(tiff[4:8], order)
    behind = page + 2 + 12 * int.from_bytes(tiff[page : page + 2], order)
    return page > 0 and tiff[behind : behind + 4] == bytes(4)


def signing_bytes(size_bytes: int, media_type: MediaType) -> int:
    """What it takes in memory to label and sign a file that is held already: two copies, and what the library holds."""
    return _OVERHEAD_BYTES + int(size_bytes * (2.0 + _NATIVE_COPIES.get(media_type, 0.0)))
