"""MP4 and QuickTime: a `uuid` box at the end of the file, so that nothing in it moves."""

from __future__ import annotations

from darkroom.provenance.labels.pieces import NotLabelled, boxes, labelled_packet

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_LONGEST_BOX = 2**32 - 1


def label_movie(data: bytes, source_type: str) -> bytes:
    """The same film with its source type. Raises `NotLabelled`."""
    place, end, existing = len(data), len(data), None
    last: tuple[bytes, int] = (b"", len(data))
    for kind, begin, inside, after in boxes(data):
        if data[begin : begin + 4] == b"\0\0\0\0":
            raise NotLabelled  # a box without a length reaches to the end of the file, whatever comes there
        if kind == b"uuid" and data.startswith(_XMP, inside):
            place, end, existing = begin, after, data[inside + len(_XMP) : after]
        last = (kind, begin)
    text = labelled_packet(existing, source_type)
    if existing is not None and end != len(data):
        # What follows would move, and other boxes say where it lies: the old packet's place is left free instead.
        free = (end - place).to_bytes(4, "big") + b"free" + data[place + 8 : end]
        data = b"".join([memoryview(data)[:place], free, memoryview(data)[end:]])
        place = end = len(data)
    if last[0] == b"mfra" and place == len(data):  # it is found from the end of the file
        place = end = last[1]
    size = 8 + len(_XMP) + len(text)
    if size > _LONGEST_BOX:
        raise NotLabelled
    box = size.to_bytes(4, "big") + b"uuid" + _XMP + text
    return b"".join([memoryview(data)[:place], box, memoryview(data)[end:]])
