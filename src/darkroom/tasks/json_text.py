"""JSON as it arrives from outside: in whatever encoding, of whatever size of structure, or none at all."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.tasks.json_bounds import MESSAGE_BOUNDS, JsonBounds

_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x78\x01": "deflate", b"\x78\x9c": "deflate", b"\x78\xda": "deflate",
               b"\x28\xb5\x2f\xfd": "zstd"}  # fmt: skip


class BadJson(ValueError):
    """A text is no JSON that can be taken; its own text says why, as the end of a sentence ("is ...")."""


def read_json(text: bytes | str, bounds: JsonBounds = MESSAGE_BOUNDS) -> Any:
    """Decode JSON in UTF-8, with a byte-order mark or without, if it keeps to `bounds`. Raises `BadJson`."""
    try:
        encoded = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise BadJson("holds half of a character (a lone surrogate)") from None
    encoded = encoded.removeprefix(_MARK)
    excess = bounds.excess(encoded)
    if excess is not None:
        raise BadJson(excess)
    try:
        return msgspec.json.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadJson(_what_it_is(encoded) or f"is not valid JSON: {error}") from None


def _what_it_is(encoded: bytes) -> str | None:
    """What these bytes, which are no JSON, are in its place, if that can be seen."""
    if not encoded.strip():
        return "is empty"
    for beginning, name in _COMPRESSED.items():
        if encoded.startswith(beginning):
            return f"is compressed ({name}); send it as it is"
    if encoded.startswith(_WIDE_MARKS) or b"\0" in encoded[:4]:
        return "is encoded as UTF-16 or UTF-32; send UTF-8"
    try:
        encoded.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{encoded[error.start]:02x} at position {error.start}"
        return f"is not encoded as UTF-8 ({found}), but perhaps as Latin-1 or Windows-1252; send UTF-8"
    return None
