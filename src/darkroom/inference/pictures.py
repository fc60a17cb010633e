"""Pictures in and out of JSON: base64, formats, and the text that SD Web UI hides in a picture."""

from __future__ import annotations

import base64
import binascii
import io
import math

from PIL import Image, ImageOps, PngImagePlugin

from darkroom.errors import Fault, InvalidRequest

MAX_PIXELS = 4096 * 4096
FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}

_EXIF_OFFSET = 0x8769
_USER_COMMENT = 0x9286


def decode_picture(text: str | None, path: str) -> Image.Image:
    """A picture from base64, with or without a `data:` prefix. Transparency stays.

    Raises `InvalidRequest`, naming `path`, for anything that is not a picture of at most `MAX_PIXELS` pixels.
    """
    if not text:
        raise InvalidRequest([Fault(path, "Invalid encoded image: it is empty; send the picture's bytes as base64")])
    if text.startswith(("http://", "https://")):
        raise InvalidRequest([Fault(path, "links are not fetched here; send the picture's bytes as base64")])
    encoded = text.split(",", 1)[1] if text.startswith("data:") and "," in text else text
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
        if math.prod(picture.size) > MAX_PIXELS:
            raise InvalidRequest(
                [Fault(path, f"the picture has {picture.width}x{picture.height} pixels, more than {MAX_PIXELS}")]
            )
        picture.load()
        return ImageOps.exif_transpose(picture)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidRequest([Fault(path, f"Invalid encoded image: {error}")]) from error


def opaque(picture: Image.Image, background: str = "#ffffff") -> Image.Image:
    """As RGB; what is transparent shows `background`."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        below = Image.new("RGBA", rgba.size, background)
        return Image.alpha_composite(below, rgba).convert("RGB")
    return picture.convert("RGB")


def encode_picture(
    picture: Image.Image, file_format: str = "png", infotext: str | None = None, quality: int = 80
) -> str:
    """A picture as base64, its infotext where SD Web UI's readers look: PNG's `parameters`, else EXIF's comment.

    `file_format` is a key of `FORMATS`; the caller has checked it.
    """
    buffer = io.BytesIO()
    kind = FORMATS[file_format]
    if kind == "PNG":
        notes = PngImagePlugin.PngInfo()
        if infotext is not None:
            notes.add_text("parameters", infotext)
        picture.save(buffer, kind, pnginfo=notes)
    else:
        exif = Image.Exif()
        if infotext is not None:
            exif.get_ifd(_EXIF_OFFSET)[_USER_COMMENT] = b"UNICODE\0" + infotext.encode("utf-16-be")
        if picture.mode not in ("RGB", "L"):
            picture = opaque(picture) if kind == "JPEG" else picture.convert("RGBA")
        picture.save(buffer, kind, quality=quality, exif=exif)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def read_infotext(picture: Image.Image) -> str:
    """What `encode_picture` wrote into a picture; empty where there is nothing."""
    written = picture.info.get("parameters")
    if isinstance(written, str):
        return written
    comment = picture.getexif().get_ifd(_EXIF_OFFSET).get(_USER_COMMENT, b"")
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        return comment[8:].decode("utf-16-be", errors="replace")
    return ""


def grid_of(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, in as square a grid as holds them."""
    rows = max(1, round(math.sqrt(len(pictures))))
    columns = math.ceil(len(pictures) / rows)
    width, height = pictures[0].size
    grid = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(pictures):
        grid.paste(picture, (index % columns * width, index // columns * height))
    return grid
