"""Pictures that go out: formats, and the text that SD Web UI hides in a picture."""

from __future__ import annotations

import io
import math

from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.limits import LONGEST_SIDES, MAX_EXIF

FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}

_USER_COMMENT = 0x9286


def opaque(picture: Image.Image, background: str = "#ffffff") -> Image.Image:
    """As RGB; what is transparent shows `background`."""
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        below = Image.new("RGBA", rgba.size, background)
        return Image.alpha_composite(below, rgba).convert("RGB")
    return picture.convert("RGB")


def encode_picture(
    picture: Image.Image, file_format: str = "png", infotext: str | None = None, quality: int = 80
) -> bytes:
    """A picture as a file, its infotext where SD Web UI's readers look: PNG's `parameters`, else EXIF's comment.

    `file_format` is a key of `FORMATS`; the caller has checked it. A text that is too long for the format is shortened,
    see `fitting`.
    """
    buffer = io.BytesIO()
    kind = FORMATS[file_format]
    if kind == "PNG":
        notes = PngImagePlugin.PngInfo()
        if infotext is not None:
            notes.add_text("parameters", infotext)
        picture.save(buffer, kind, pnginfo=notes)
    else:
        exif = b"" if infotext is None else _exif(fitting(infotext, file_format)[0])
        if picture.mode not in ("RGB", "L"):
            picture = opaque(picture) if kind == "JPEG" else picture.convert("RGBA")
        picture.save(buffer, kind, quality=quality, exif=exif)
    return buffer.getvalue()


def fitting(infotext: str, file_format: str) -> tuple[str, bool]:
    """An infotext as the format can hold it, and whether it was shortened for that.

    JPEG has room for 64 KiB. Of a text that is longer the prompts lose their ends: the last line, with what is needed
    to make the picture again, stays.
    """
    if FORMATS[file_format] != "JPEG" or len(_exif(infotext)) <= MAX_EXIF:
        return infotext, False
    prompts, _, values = infotext.rpartition("\n")
    room = MAX_EXIF - len(_exif("")) - 64
    for count in (len(prompts) * room // len(_exif(infotext)) - len(values), 0):
        shorter = f"{prompts[: max(0, count)]}…\n{values}"
        if len(_exif(shorter)) <= MAX_EXIF:
            return shorter, True
    return "", True


def holding(file_format: str, width: int, height: int) -> str:
    """The format, or `png` for a size that it cannot hold."""
    return file_format if max(width, height) <= LONGEST_SIDES.get(file_format, max(width, height)) else "png"


def check_sides(width: int, height: int, file_format: str, path: str) -> None:
    """Raises `InvalidRequest`, naming `path`, for a size that the format cannot hold."""
    if holding(file_format, width, height) != file_format:
        raise InvalidRequest(
            [
                Fault(
                    path,
                    f"{width}x{height} is larger than {file_format} can hold ({LONGEST_SIDES[file_format]} a side); "
                    "set the option samples_format to png, or ask for less",
                )
            ]
        )


def grid_of(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, in as square a grid as holds them."""
    rows = max(1, round(math.sqrt(len(pictures))))
    columns = math.ceil(len(pictures) / rows)
    width, height = pictures[0].size
    grid = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(pictures):
        grid.paste(picture, (index % columns * width, index // columns * height))
    return grid


def _exif(infotext: str) -> bytes:
    exif = Image.Exif()
    # Plain text takes half the room, and every reader knows it.
    plain = infotext.isascii() and 2 * len(infotext) > MAX_EXIF - 256
    exif.get_ifd(IFD.Exif)[_USER_COMMENT] = (
        b"ASCII\0\0\0" + infotext.encode("ascii") if plain else b"UNICODE\0" + infotext.encode("utf-16-be")
    )
    return exif.tobytes()
