"""Base64 in pieces: a picture of many megabytes is never copied whole, and other threads get their turn in between."""

from __future__ import annotations

import binascii
from collections.abc import Iterator

#: Characters read at once, and bytes written at once; both end where a group of base64 ends.
_READ = 1024 * 1024
_WRITTEN = 3 * 64 * 1024

#: Line breaks and blanks, as MIME writers and editors put them in.
_BLANKS = b" \t\r\n\f\v"


def decode_base64(text: str) -> bytes:
    """The bytes of base64 text as people send it: line breaks and a missing end (`=`) do not matter.

    Raises `ValueError`, which says what is wrong, for anything else that is not base64.
    """
    if text.isspace() or not text:
        raise ValueError("it is empty")
    decoded = bytearray()
    rest = b""
    for start in range(0, len(text), _READ):
        piece = text[start : start + _READ]
        if not piece.isascii():
            raise ValueError(f"it holds the character {_first_foreign(piece)!r}, which base64 does not have")
        signs = rest + piece.encode("ascii").translate(None, _BLANKS)
        whole = len(signs) // 4 * 4
        # The last group may be the end, which is looked at below.
        whole = whole - 4 if whole == len(signs) and whole else whole
        decoded += _decode(signs[:whole])
        rest = signs[whole:]
    rest = rest.rstrip(b"=")
    if len(rest) % 4 == 1:
        raise ValueError("it is cut off: its length is none that base64 can have")
    decoded += _decode(rest + b"=" * (-len(rest) % 4))
    return bytes(decoded)


def base64_length(count: int) -> int:
    """How many characters so many bytes take."""
    return (count + 2) // 3 * 4


def encode_base64(data: bytes) -> Iterator[bytes]:
    """The bytes as base64, piece by piece."""
    view = memoryview(data)
    for start in range(0, len(view), _WRITTEN):
        yield binascii.b2a_base64(view[start : start + _WRITTEN], newline=False)


def _decode(signs: bytes) -> bytes:
    try:
        return binascii.a2b_base64(signs, strict_mode=True)
    except binascii.Error:
        foreign = _first_foreign(signs.decode("ascii"))
        raise ValueError(
            f"it holds the character {foreign!r}, which base64 does not have"
            if foreign
            else "it goes on behind its end"
        ) from None


def _first_foreign(text: str) -> str | None:
    return next((sign for sign in text if not (sign.isascii() and (sign.isalnum() or sign in "+/="))), None)
