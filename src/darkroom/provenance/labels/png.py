"""PNG and APNG: an iTXt chunk before the picture data. Other text chunks stay where they are, byte for byte."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"XML:com.adobe.xmp\0"
# A packet is a few kilobytes; one that unpacks to more than this is somebody's trap.
_LONGEST_PACKET = 16 * 1024 * 1024


def label_png(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type. Raises `NotLabelled`."""
    after_header = end_of_old = begin_of_old = None
    existing = None
    for kind, begin, end in _chunks(data):
        if kind == b"IHDR":
            after_header = end
        elif kind == b"iTXt" and data.startswith(_KEYWORD, begin + 8):
            begin_of_old, end_of_old, existing = begin, end, _text(data[begin + 8 + len(_KEYWORD) : end - 4])
            break
    if after_header is None:
        raise NotLabelled
    chunk = _chunk(labelled_packet(existing, source_type))
    if begin_of_old is None or end_of_old is None:
        begin_of_old = end_of_old = after_header
    return b"".join([memoryview(data)[:begin_of_old], chunk, memoryview(data)[end_of_old:]])


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type of each chunk, where it begins, and where it ends."""
    position = len(_SIGNATURE)
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data):
            raise NotLabelled
        kind = data[position + 4 : position + 8]
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise NotLabelled  # cut off


def _chunk(text: bytes) -> bytes:
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0" + text  # not compressed, so that readers find it that know no PNG
    return (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _text(content: bytes) -> bytes:
    """What stands behind the keyword: two bytes about compression, a language, a translation, and the text."""
    is_compressed, parts = content[:1] == b"\1", content[2:].split(b"\0", 2)
    if len(parts) < 3:
        raise NotLabelled
    if not is_compressed:
        return parts[2]
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(parts[2], _LONGEST_PACKET)
    except zlib.error:
        raise NotLabelled from None
    if unpacking.unconsumed_tail:
        raise NotLabelled
    return text
