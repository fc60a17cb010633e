"""A request's body in which files stand as base64, which is made as it is sent.

A picture of 32 MiB is 43 MiB of base64, and as much again where that is put into a JSON text. Here it takes its 32 MiB.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from darkroom.policy.links import replace_strings

_PIECE_BYTES = 3 * 64 * 1024  # base64 turns three bytes into four


class FilledBody:
    """A JSON text in pieces: bytes that are sent as they are, and files that are sent as base64."""

    def __init__(self, pieces: tuple[bytes | memoryview, ...]) -> None:
        self._pieces = pieces

    @property
    def sent_bytes(self) -> int:
        """The length of the text."""
        return sum(len(piece) if isinstance(piece, bytes) else 4 * -(-len(piece) // 3) for piece in self._pieces)

    @property
    def held_bytes(self) -> int:
        """What it takes in memory; a file that stands in several places counts once."""
        return sum({id(_owner(piece)): len(piece) for piece in self._pieces}.values())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The text. It can be gone through more than once."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                for start in range(0, len(piece), _PIECE_BYTES):
                    yield piece[start : start + _PIECE_BYTES]
            else:
                for start in range(0, len(piece), _PIECE_BYTES):
                    yield base64.b64encode(piece[start : start + _PIECE_BYTES])


def encode_filled(content: Any, files: Mapping[str, bytes]) -> FilledBody:
    """`content` as JSON, with the base64 of a file where a whole string is its key in `files`."""
    if not files:
        return FilledBody((msgspec.json.encode(content),))
    marks = {name: f"{uuid.uuid4().hex}" for name in files}
    by_mark = {mark.encode(): memoryview(files[name]) for name, mark in marks.items()}
    text = msgspec.json.encode(replace_strings(content, marks))
    pieces: list[bytes | memoryview] = []
    for mark, at in sorted(_find(text, by_mark), key=lambda found: found[1], reverse=True):
        pieces[:0] = (by_mark[mark], text[at + len(mark) :])
        text = text[:at]
    return FilledBody((text, *pieces))


def _find(text: bytes, marks: Mapping[bytes, memoryview]) -> list[tuple[bytes, int]]:
    found = []
    for mark in marks:
        at = text.find(mark)
        while at >= 0:
            found.append((mark, at))
            at = text.find(mark, at + len(mark))
    return found


def _owner(piece: bytes | memoryview) -> object:
    return piece if isinstance(piece, bytes) else piece.obj
