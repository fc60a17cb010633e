"""What the formats have in common: how a label is put into a file, and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.provenance.xmp import packet, with_source_type


class NotLabelled(Exception):
    """The file is not of the form that it should have, or says a source type already: it stays as it is."""


def labelled_packet(existing: bytes | None, source_type: str) -> bytes:
    """The packet to write in place of `existing`. Raises `NotLabelled` where that one is to stay."""
    if existing is None:
        return packet(source_type)
    found = with_source_type(existing, source_type)
    if found is None:
        raise NotLabelled
    return found


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int, int]]:
    """The boxes of an ISO file: type, where the box begins, where what is in it begins, and where it ends.

    Raises `NotLabelled` for what is not made of boxes.
    """
    position, end = begin, len(data) if end is None else end
    while position < end:
        if position + 8 > end:
            raise NotLabelled
        size, kind, header = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:
            size = end - position
        if size < header or position + size > end:
            raise NotLabelled
        yield kind, position, position + header, position + size
        position += size


def riff_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """The chunks of a RIFF file: name, and where what is in it begins and ends. Raises `NotLabelled`."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise NotLabelled
    found, position = [], 12
    while position + 8 <= end:
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if position + 8 + size > end:
            raise NotLabelled
        found.append((data[position : position + 4], position + 8, position + 8 + size))
        position += 8 + size + size % 2
    return found


def riff_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk, padded to an even length."""
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def riff(form: bytes, chunks: list[bytes], rest: bytes = b"") -> bytes:
    """A RIFF file made of chunks; `rest` is what stood behind it."""
    size = 4 + sum(len(chunk) for chunk in chunks)
    return b"".join([b"RIFF", size.to_bytes(4, "little"), form, *chunks, rest])
