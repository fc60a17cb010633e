"""Pictures as a client has them, and where they can be fetched."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec

from darkroom.errors import Fault, InvalidRequest


class Picture(msgspec.Struct, frozen=True):
    """A picture: the last part of its object key, and its bytes."""

    name: str
    data: bytes

    def save(self, folder: str | Path = ".") -> Path:
        """Write it under its name into a folder, which is made where it is missing, and return the path."""
        path = Path(folder) / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path

    def open(self) -> Any:
        """The picture as a `PIL.Image.Image`. Raises `InvalidRequest` where Pillow is not installed."""
        try:
            from PIL import Image
        except ImportError:
            raise InvalidRequest(
                [Fault("", "opening a picture needs Pillow, which is not installed: pip install pillow")]
            ) from None
        return Image.open(io.BytesIO(self.data))


class PictureLink(msgspec.Struct, frozen=True):
    """A picture that can be fetched: the last part of its object key, and a URL that is good for an hour."""

    name: str
    url: str


def file_name(url: str) -> str:
    """The last part of a URL. It comes from a server: as a file's name it must not lead out of a folder."""
    name = url.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "")
    return "" if name in (".", "..") else name
