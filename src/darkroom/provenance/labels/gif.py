"""GIF: an application extension in front of the first frame, in XMP's own form of one."""

from __future__ import annotations

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet

_BEGIN = b"\x21\xff\x0bXMP DataXMP"
# The text is not cut into blocks. A reader that takes it for blocks comes to an end of them here, wherever it is.
_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"


def label_gif(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type. Raises `NotLabelled`."""
    if len(data) < 14:
        raise NotLabelled
    flags = data[10]
    place = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    position, existing, end = place, None, place
    while data[position : position + 1] == b"\x21":  # extensions in front of the first frame
        if data.startswith(_BEGIN, position):
            text_end = data.find(_TRAILER, position)
            if text_end < 0:
                raise NotLabelled
            place, end = position, text_end + len(_TRAILER)
            existing = data[position + len(_BEGIN) : text_end]
            break
        if data[position + 1 : position + 2] == b"\xff" and data[position + 3 : position + 11] == b"NETSCAPE":
            # How often it is repeated belongs in front of everything else.
            place = end = _after(data, position)
        position = _after(data, position)
    if data[position : position + 1] not in (b"\x21", b"\x2c"):
        raise NotLabelled
    header = b"GIF89a" + data[6:13]  # extensions came with this version
    text = labelled_packet(existing, source_type)
    return b"".join([header, memoryview(data)[13:place], _BEGIN, text, _TRAILER, memoryview(data)[end:]])


def _after(data: bytes, position: int) -> int:
    """Where an extension ends."""
    position += 2
    while True:
        if position >= len(data):
            raise NotLabelled
        size = data[position]
        position += 1 + size
        if not size:
            return position
