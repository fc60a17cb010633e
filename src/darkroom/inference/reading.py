"""Pictures that come in: what they are is told, and their pixels are counted, before they are decoded."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import IFD

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.base64_text import decode_base64
from darkroom.inference.limits import MAX_PIXELS, MAX_REQUEST_PIXELS

#: Pillow's readers for what people send; its others (some start programs) are never asked.
READERS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
READABLE = "PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF"

_ORIENTATION = 0x0112
_USER_COMMENT = 0x9286
_SIDEWAYS = (5, 6, 7, 8)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@dataclass(frozen=True, slots=True)
class Received:
    """A picture that was sent, not decoded yet. `path` is where it stands in the request, `size` is in pixels."""

    data: bytes
    path: str
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return math.prod(self.size)

    def decode(self) -> Image.Image:
        """The picture, upright, eight bits a channel; transparency stays. Raises `InvalidRequest`."""
        try:
            picture = _opened(self.data)
            picture.load()
            return eight_bits(ImageOps.exif_transpose(picture))
        except Exception as error:  # whatever a reader of Pillow's raises for a broken file
            raise _broken(self.path, self.data) from error


@dataclass(frozen=True, slots=True)
class Pictures:
    """What image-to-image starts from."""

    inits: tuple[Received, ...] = ()
    mask: Received | None = None


def receive_picture(text: str | None, path: str) -> Received:
    """A picture from base64, with or without a `data:` prefix. Only its head is read.

    Raises `InvalidRequest`, naming `path`, for anything that is not a picture of at most `MAX_PIXELS` pixels.
    """
    data = _bytes(text, path)
    try:
        picture = _opened(data)
        width, height = picture.size
        size = (height, width) if _orientation(picture) in _SIDEWAYS else (width, height)
    except Image.DecompressionBombError as error:
        raise InvalidRequest([Fault(path, f"the picture has more than {MAX_PIXELS} pixels (4096x4096)")]) from error
    except Exception as error:
        raise _broken(path, data) from error
    received = Received(data, path, size)
    if received.pixels > MAX_PIXELS:
        raise InvalidRequest(
            [Fault(path, f"the picture has {size[0]}x{size[1]} pixels, more than {MAX_PIXELS} (4096x4096)")]
        )
    return received


def receive_pictures(texts: dict[str, str | None]) -> tuple[Received, ...]:
    """Pictures by their paths. Raises `InvalidRequest` too when all have more than `MAX_REQUEST_PIXELS` together."""
    received = tuple(receive_picture(text, path) for path, text in texts.items())
    together = sum(picture.pixels for picture in received)
    if together > MAX_REQUEST_PIXELS:
        raise InvalidRequest(
            [
                Fault(
                    received[0].path.split(".")[0],
                    f"the {len(received)} pictures have {together} pixels together, more than {MAX_REQUEST_PIXELS} "
                    "(four of 4096x4096); send them in several requests",
                )
            ]
        )
    return received


def read_notes(text: str | None, path: str) -> tuple[str, dict[str, Any]]:
    """The infotext inside a picture, and every other text in it. Its pixels are not decoded, and so may be many.

    Raises `InvalidRequest` for what is no picture.
    """
    data = _bytes(text, path)
    try:
        picture = _opened(data)
        notes = {
            name: value for name, value in picture.info.items() if isinstance(name, str) and isinstance(value, str)
        }
        written = notes.pop("parameters", None)
        return written if written is not None else _comment(picture), notes
    except Exception as error:
        raise _broken(path, data) from error


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of more bits a channel, scaled to eight, where Pillow alone would make all above 255 white."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture)
    if picture.mode == "F":
        values = np.nan_to_num(values, posinf=0, neginf=0)
    highest = float(values.max(initial=0))
    if picture.mode.startswith("I;16"):
        values = values >> 8
    elif picture.mode == "F" and highest <= 1:
        values = values * 255
    elif highest > 255:
        # 32 bits are declared, but few programs fill them: the smallest range that holds every value is meant.
        values = values / ((2**16 - 1 if highest < 2**16 else 2**31 - 1) / 255)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _bytes(text: str | None, path: str) -> bytes:
    if not text:
        raise InvalidRequest([Fault(path, "Invalid encoded image: it is empty; send the picture's bytes as base64")])
    start = text[:8].lstrip().lower()
    if start.startswith(("http://", "https:/")):
        raise InvalidRequest([Fault(path, "links are not fetched here; send the picture's bytes as base64")])
    try:
        if start.startswith("data:"):
            head = text[:512].partition(",")[0]
            if not head.rstrip().lower().endswith(";base64"):
                raise ValueError("its data URL does not say base64; write data:image/png;base64,…")
            text = text[len(head) + 1 :]
        return decode_base64(text)
    except ValueError as error:
        raise InvalidRequest([Fault(path, f"Invalid encoded image: {error}")]) from None


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=_readers())


@cache
def _readers() -> tuple[str, ...]:
    Image.init()  # AVIF is missing from older Pillows
    return tuple(reader for reader in READERS if reader in Image.OPEN)


def _exif(picture: Image.Image) -> Image.Exif:
    """What stands in the picture's head; Pillow's own way may decode the whole of it in search of more."""
    exif = Image.Exif()
    if isinstance(found := picture.info.get("exif"), bytes):
        exif.load(found)
    elif picture.format == "TIFF":
        return picture.getexif()
    return exif


def _orientation(picture: Image.Image) -> int:
    if picture.format == "TIFF":
        return 1  # Pillow's reader turns it
    try:
        return int(_exif(picture).get(_ORIENTATION, 1))
    except Exception:  # an EXIF block that cannot be read says nothing
        return 1


def _comment(picture: Image.Image) -> str:
    """EXIF's comment, where SD Web UI's readers look for an infotext; empty where there is none."""
    try:
        comment = _exif(picture).get_ifd(IFD.Exif).get(_USER_COMMENT, b"")
    except Exception:
        return ""
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return ""
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        return text.decode("utf-16-be", errors="replace")
    return text.decode("utf-8", errors="replace") if code in (b"ASCII\0\0\0", b"\0" * 8) else ""


def _broken(path: str, data: bytes) -> InvalidRequest:
    """Says what was sent instead, where that can be told; never what Pillow says, which is about its own objects."""
    kind = _other_kind(data)
    if kind is not None:
        reason = f"it is {kind}, which this runtime does not read; send {READABLE}"
    elif _is_readable(data):
        reason = "it is damaged or cut off; send the whole file"
    else:
        reason = f"it is none of the formats that this runtime reads; send {READABLE}"
    return InvalidRequest([Fault(path, f"Invalid encoded image: {reason}")])


def _is_readable(data: bytes) -> bool:
    starts = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
    return data.startswith(starts) or data[4:12] in (b"ftypavif", b"ftypavis")


def _other_kind(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "a HEIC picture" if brand in _HEIC else None if brand in (b"avif", b"avis") else "a video"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head):
        return "an SVG drawing"
    for start, kind in (
        (b"<!doctype html", "a web page"),
        (b"<html", "a web page"),
        (b"%pdf", "a PDF document"),
        (b"8bps", "a Photoshop file"),
        (b"%!ps", "a PostScript file"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cjxl ", "a JPEG XL picture"),
        (b"\0\0\0\x0cjp  ", "a JPEG 2000 picture"),
        (b"\x1aE\xdf\xa3".lower(), "a video"),
        (b"pk\x03\x04", "a ZIP archive"),
        (b"qoif", "a QOI picture"),
    ):
        if head.startswith(start):
            return kind
    return None
