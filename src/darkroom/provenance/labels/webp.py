"""WEBP and WAV, which are RIFF files: a chunk at the end, which a WEBP's first chunk announces."""

from __future__ import annotations

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet, riff, riff_chunk, riff_chunks

_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def label_webp(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type, in the extended form of the format. Raises `NotLabelled`."""
    chunks = riff_chunks(data)
    if not chunks:
        raise NotLabelled
    name, begin, end = chunks[0]
    existing = next((data[first:last] for kind, first, last in chunks if kind == b"XMP "), None)
    text = labelled_packet(existing, source_type)
    if name == b"VP8X":
        header = bytes([data[begin] | _HAS_XMP]) + data[begin + 1 : end]
        kept = chunks[1:]
    else:
        width, height, flags = _size(name, data[begin:end])
        header = (
            bytes([flags | _HAS_XMP, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        )
        kept = chunks
    pieces = [riff_chunk(b"VP8X", header)]
    pieces += [riff_chunk(kind, data[first:last]) for kind, first, last in kept if kind != b"XMP "]
    pieces.append(riff_chunk(b"XMP ", text))
    return riff(b"WEBP", pieces, data[8 + int.from_bytes(data[4:8], "little") :])


def label_wav(data: bytes, source_type: str) -> bytes:
    """The same sound with its source type. Raises `NotLabelled`."""
    chunks = riff_chunks(data)
    existing = next((data[first:last] for kind, first, last in chunks if kind == b"_PMX"), None)
    text = labelled_packet(existing, source_type)
    pieces = [riff_chunk(kind, data[first:last]) for kind, first, last in chunks if kind != b"_PMX"]
    pieces.append(riff_chunk(b"_PMX", text))
    return riff(b"WAVE", pieces, data[8 + int.from_bytes(data[4:8], "little") :])


def _size(name: bytes, frame: bytes) -> tuple[int, int, int]:
    """Width, height and the flag of transparency, of a picture in the plain form."""
    if name == b"VP8 " and frame[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(frame[place : place + 2], "little") & 0x3FFF for place in (6, 8))
        flags = 0
    elif name == b"VP8L" and frame[:1] == b"\x2f":
        bits = int.from_bytes(frame[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = _HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        raise NotLabelled
    if not width or not height:
        raise NotLabelled
    return width, height, flags
