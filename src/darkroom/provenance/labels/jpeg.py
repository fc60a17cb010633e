"""JPEG: an APP1 segment behind those that begin the file (JFIF, Exif)."""

from __future__ import annotations

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet

_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_APP0, _APP1, _START_OF_SCAN = 0xE0, 0xE1, 0xDA
_LONGEST_SEGMENT = 0xFFFF


def label_jpeg(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type. Raises `NotLabelled`."""
    position, place = 2, 2
    existing: bytes | None = None
    old = (0, 0)
    while True:
        marker, end = _segment(data, position)
        if marker == _START_OF_SCAN:
            break
        is_xmp = marker == _APP1 and data.startswith(_NAME, position + 4)
        if is_xmp:
            existing, old = data[position + 4 + len(_NAME) : end], (position, end)
            break
        if marker == _APP0 or (marker == _APP1 and data.startswith(b"Exif\0", position + 4)):
            place = end
        position = end
    content = _NAME + labelled_packet(existing, source_type)
    if len(content) + 2 > _LONGEST_SEGMENT:
        raise NotLabelled
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    begin, end = old if existing is not None else (place, place)
    return b"".join([memoryview(data)[:begin], segment, memoryview(data)[end:]])


def _segment(data: bytes, position: int) -> tuple[int, int]:
    """The marker of the segment that begins here, and where it ends."""
    if data[position : position + 1] != b"\xff" or position + 4 > len(data):
        raise NotLabelled
    marker, size = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
    if size < 2 or position + 2 + size > len(data):
        raise NotLabelled
    return marker, position + 2 + size
