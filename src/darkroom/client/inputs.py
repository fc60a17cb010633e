"""Pictures that go into a request: a link, a file, bytes, or a picture of Pillow's."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable

from darkroom.errors import Fault, InvalidRequest
from darkroom.tasks.task import JsonObject

# AWS Lambda takes 6 MB; what a request holds beside its pictures is small.
LARGEST_BODY_BYTES = 5 * 1024 * 1024
# A picture below this is not worth two requests of its own.
_LEAST_UPLOADED_CHARACTERS = 64 * 1024
_MODES_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


@runtime_checkable
class PillowImage(Protocol):
    """What of `PIL.Image.Image` is needed; Pillow itself is not."""

    def save(self, fp: Any, format: str | None = None) -> None:
        """Write the picture to a file in this format."""
        ...


PictureSource = str | bytes | os.PathLike[str] | BinaryIO | PillowImage


def inline(picture: PictureSource) -> str:
    """What stands for `picture` in a request: a link as it is, anything else in base64.

    A text without "://" that is no data URL is the path of a file, or else taken as base64. Raises `OSError` for a file
    that cannot be read, and `InvalidRequest` for what is no picture.
    """
    if isinstance(picture, str):
        is_text = (
            "://" in picture or picture.startswith("data:") or (decoded(picture) is not None and not _is_file(picture))
        )
        return picture if is_text else _file(picture)
    if isinstance(picture, os.PathLike):
        return _file(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        return base64.b64encode(picture).decode()
    if isinstance(picture, PillowImage):
        return base64.b64encode(_png(picture)).decode()
    if hasattr(picture, "read") and not isinstance(picture, io.TextIOBase):
        return base64.b64encode(picture.read()).decode()
    what = "a link, a path, bytes, a file that is open for reading bytes, or a picture of Pillow's"
    raise InvalidRequest([Fault("picture", f"must be {what}, not a {type(picture).__name__}")])


def _png(picture: PillowImage) -> bytes:
    buffer = io.BytesIO()
    # PNG has no colours for printing, as JPEG files may have, and no fractions.
    in_colours = picture if getattr(picture, "mode", "RGB") in _MODES_OF_PNG else cast("Any", picture).convert("RGB")
    in_colours.save(buffer, format="PNG")
    return buffer.getvalue()


def _file(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like object
        return base64.b64encode(file.read()).decode()


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        return False


def inline_all(pictures: PictureSource | Sequence[PictureSource]) -> list[str]:
    """`inline` for one picture or several."""
    if isinstance(pictures, list | tuple):
        return [inline(picture) for picture in pictures]
    return [inline(cast("PictureSource", pictures))]


def large_pictures(document: JsonObject) -> Iterator[str]:
    """The pictures in a request that are worth sending by themselves, each once."""
    found: dict[str, None] = {}
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
        elif isinstance(value, str) and len(value) >= _LEAST_UPLOADED_CHARACTERS and decoded(value) is not None:
            found[value] = None
    return iter(found)


def decoded(text: str) -> bytes | None:
    """The bytes of a picture that stands in a request; None where the text is none."""
    _, comma, after = text.partition(",") if text.startswith("data:") else ("", ",", text)
    try:
        return base64.b64decode(after, validate=True) if comma else None
    except (binascii.Error, ValueError):
        return None


def replaced(value: Any, links: Mapping[str, str]) -> Any:
    """A request with `links` in the place of pictures."""
    if isinstance(value, Mapping):
        return {name: replaced(part, links) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(part, links) for part in value]
    return links.get(value, value) if isinstance(value, str) else value
