"""Answers with pictures in them: JSON written piece by piece, the pictures as base64 that is never whole in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from starlette.responses import StreamingResponse

from darkroom.inference.base64_text import base64_length, encode_base64

_PIECE = 256 * 1024

#: A part of an answer: JSON as it is, or a picture's file.
Part = bytes | memoryview


class Answer(StreamingResponse):
    """A JSON object of SD Web UI's shape. Its length is known beforehand, as clients may want it."""

    def __init__(self, fields: dict[str, Any]) -> None:
        """`fields` in order: a picture's file as `bytes`, a list of them, or what goes into JSON.

        JSON that is written already comes as a `Written`.
        """
        parts = list(_parts(fields))
        length = sum(base64_length(len(part.file)) + 2 if isinstance(part, _Picture) else len(part) for part in parts)
        super().__init__(_written(parts), media_type="application/json", headers={"content-length": str(length)})


class Written(str):
    """A text that is JSON already."""

    __slots__ = ()


class _Picture:
    __slots__ = ("file",)

    def __init__(self, file: bytes) -> None:
        self.file = file


def _parts(fields: dict[str, Any]) -> Iterator[bytes | _Picture]:
    for number, (name, value) in enumerate(fields.items()):
        yield ("," if number else "{").encode() + json.dumps(name).encode() + b":"
        if isinstance(value, bytes):
            yield _Picture(value)
        elif isinstance(value, Written):
            yield value.encode()
        elif isinstance(value, Sequence) and value and all(isinstance(item, bytes) for item in value):
            for place, item in enumerate(value):
                yield b"," if place else b"["
                yield _Picture(item)
            yield b"]"
        else:
            yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    yield b"}"


async def _written(parts: list[bytes | _Picture]) -> AsyncIterator[bytes]:
    parts.reverse()
    gathered = bytearray()
    while parts:
        part = parts.pop()  # what is sent is not kept
        for piece in _pieces(part):
            gathered += piece
            if len(gathered) >= _PIECE:
                yield bytes(gathered)
                gathered.clear()
    yield bytes(gathered)


def _pieces(part: bytes | _Picture) -> Iterator[bytes | memoryview]:
    if isinstance(part, _Picture):
        yield b'"'
        yield from encode_base64(part.file)
        yield b'"'
        return
    view = memoryview(part)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]
