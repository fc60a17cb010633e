"""What can be seen of a picture without decoding it: its size, and whether any part of a PNG is transparent."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec

from darkroom.policy.media_types import APNG, JPEG, PNG, WEBP, recognise

FORMATS = {PNG: "png", APNG: "png", JPEG: "jpeg", WEBP: "webp"}
# 4096 x 4096 with an alpha channel.
_MOST_PIXELS = 4096 * 4096
_SIGNATURE_BYTES = 8
# Encoders write 8 KB at least into each, so this is 32 MB.
_MOST_CHUNKS = 4096
_GREY_ALPHA, _RGBA, _PALETTE = 4, 6, 3
_CHANNELS = {0: 1, 2: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
# JPEG's frame headers: all of 0xC0 to 0xCF but these (tables, and a reserved one).
_NO_FRAMES = (0xC4, 0xC8, 0xCC)


class PictureFacts(msgspec.Struct, frozen=True):
    """A picture's format (`png`, `jpeg` or `webp`) and its size in pixels."""

    format: str
    width: int
    height: int


def read_facts(picture: bytes) -> PictureFacts | None:
    """What a file is, or None where it is no PNG, JPEG or WebP, or has no size."""
    media_type = recognise(picture[: 64 * 1024])
    file_format = FORMATS.get(media_type) if media_type is not None else None
    try:
        size = {"png": _png_size, "jpeg": _jpeg_size, "webp": _webp_size}[file_format or ""](picture)
    except (KeyError, IndexError):
        return None
    return None if size is None or min(size) < 1 else PictureFacts(str(file_format), *size)


def has_transparency(png: bytes) -> bool:
    """Whether any part of a PNG is not wholly opaque. What cannot be looked through is taken at its word.

    Only the bytes of the alpha channel are looked at, row by row, and as encoded: where everything so far is opaque, an
    opaque row can only look in one way under each of PNG's five filters. So it takes a few comparisons for each row.
    """
    if len(png) < 33 or png[12:16] != b"IHDR":
        return False
    width, height = _png_size(png)
    depth, colour, interlaced = png[24], png[25], png[28] != 0
    if colour not in (_GREY_ALPHA, _RGBA):
        return any(kind == b"tRNS" and set(data) != {255} for kind, data in _chunks(png))
    if interlaced or depth not in (8, 16) or width * height > _MOST_PIXELS:
        return True
    bytes_per_pixel = _CHANNELS[colour] * depth // 8
    rows = _rows(png, width * bytes_per_pixel + 1, height)
    lanes = [-1] if depth == 8 else [-2, -1]
    for number, row in enumerate(rows):
        expected = _opaque_lane(row[0], width, is_first=number == 0)
        for lane in lanes:
            if row[1 + bytes_per_pixel + lane :: bytes_per_pixel] != expected:
                return True
    return False


def _opaque_lane(row_filter: int, width: int, *, is_first: bool) -> bytes:
    """How the alpha of an opaque row is encoded: a row below opaque ones, or the first."""
    above = 0 if is_first else 255
    match row_filter:
        case 1:  # less the pixel to the left
            return b"\xff" + bytes(width - 1)
        case 2:  # less the pixel above
            return bytes([255 - above]) * width
        case 3:  # less the mean of both
            return bytes([255 - above // 2]) + bytes([255 - (255 + above) // 2]) * (width - 1)
        case 4:  # less the one that is likest, which is the pixel above for the first and either for the others
            return bytes([255 - above]) + bytes(width - 1)
    return b"\xff" * width


def _rows(png: bytes, row_bytes: int, height: int) -> Iterator[bytes]:
    """The filtered rows, with the filter's number before each; a file that ends early has fewer."""
    inflater, rest = zlib.decompressobj(), b""
    for kind, data in _chunks(png):
        if kind != b"IDAT":
            continue
        while data:
            try:
                rest += inflater.decompress(data, 1 << 20)
            except zlib.error:
                return
            data = inflater.unconsumed_tail
            whole = min(len(rest) // row_bytes, height)
            for start in range(0, whole * row_bytes, row_bytes):
                yield rest[start : start + row_bytes]
            rest, height = rest[whole * row_bytes :], height - whole
            if not height:
                return


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's type and data. Of a file that is made of nothing but tiny ones, the first."""
    at = _SIGNATURE_BYTES
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _png_size(png: bytes) -> tuple[int, int]:
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            return None
        marker = jpeg[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        else:
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return None


def _webp_size(webp: bytes) -> tuple[int, int] | None:
    if len(webp) < 30:
        return None
    match webp[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(webp[24:27], "little"), 1 + int.from_bytes(webp[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(webp[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = int.from_bytes(webp[26:28], "little"), int.from_bytes(webp[28:30], "little")
            return width & 0x3FFF, height & 0x3FFF
    return None
