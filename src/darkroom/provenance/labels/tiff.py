"""TIFF: tag 700 in the first directory, which is written anew at the end of the file; nothing else moves."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet

_XMP = 700
_BYTE, _UNDEFINED = 1, 7
_ENTRY = 12
_LARGEST = 2**32 - 1


def label_tiff(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type. Raises `NotLabelled`."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = _unpack(f"{order}I", data, 4)
    (count,) = _unpack(f"{order}H", data, directory)
    begin = directory + 2
    entries = [data[place : place + _ENTRY] for place in range(begin, begin + count * _ENTRY, _ENTRY)]
    (following,) = _unpack(f"{order}I", data, begin + count * _ENTRY)
    existing = next(_packets(data, entries, order), None)
    text = labelled_packet(existing, source_type)
    padding = b"\0" * (len(data) % 2)
    place = len(data) + len(padding)
    text += b"\0" * (len(text) % 2)
    added = struct.pack(f"{order}HHII", _XMP, _BYTE, len(text), place)
    kept = [entry for entry in entries if _tag(entry, order) != _XMP]
    ordered = sorted([*kept, added], key=lambda entry: _tag(entry, order))
    if place + len(text) + 6 + len(ordered) * _ENTRY > _LARGEST:
        raise NotLabelled
    return b"".join(
        [
            data[:4],
            struct.pack(f"{order}I", place + len(text)),
            memoryview(data)[8:],
            padding,
            text,
            struct.pack(f"{order}H", len(ordered)),
            *ordered,
            struct.pack(f"{order}I", following),
        ]
    )


def _packets(data: bytes, entries: list[bytes], order: str) -> Iterator[bytes]:
    for entry in entries:
        tag, kind, size, place = struct.unpack(f"{order}HHII", entry)
        if tag == _XMP:
            if kind not in (_BYTE, _UNDEFINED) or size <= 4 or place + size > len(data):
                raise NotLabelled
            yield data[place : place + size].rstrip(b"\0")


def _tag(entry: bytes, order: str) -> int:
    tag: int = struct.unpack(f"{order}H", entry[:2])[0]
    return tag


def _unpack(form: str, data: bytes, place: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        raise NotLabelled from None
