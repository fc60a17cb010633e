"""The pictures of the fake runtimes: real PNGs that say in the picture that no model made them."""

from __future__ import annotations

import binascii
import colorsys
import io
import random
import textwrap

try:
    from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
except ImportError:  # pragma: no cover - the test environment has Pillow
    from darkroom.errors import MissingExtra

    raise MissingExtra("local", "the fake runtime, which paints pictures,") from None

NOTICE = "Darkroom's fake runtime: no model made this picture"
_SMALLEST_SIDE, _LARGEST_SIDE = 8, 4096


def paint(width: int, height: int, seed: int, prompt: str) -> Image.Image:
    """A picture of `width` x `height` pixels in colours that follow from `seed`, with the facts written on it."""
    if not (_SMALLEST_SIDE <= width <= _LARGEST_SIDE and _SMALLEST_SIDE <= height <= _LARGEST_SIDE):
        raise ValueError(f"a side must have {_SMALLEST_SIDE} to {_LARGEST_SIDE} pixels, not {width} x {height}")
    chance = random.Random(seed)  # noqa: S311 - colours, not secrets
    hue = chance.random()
    top, bottom = (_colour(hue + shift, light) for shift, light in ((0.0, 0.85), (0.12, 0.35)))
    ramp = Image.linear_gradient("L").resize((width, height))
    picture = Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), ramp)
    draw = ImageDraw.Draw(picture)
    radius = min(width, height) * (0.08 + 0.10 * chance.random())
    centre_x, centre_y = width * (0.2 + 0.6 * chance.random()), height * (0.15 + 0.2 * chance.random())
    draw.ellipse(
        (centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius), fill=_colour(hue + 0.5, 0.8)
    )
    return label(picture, prompt, seed)


def label(picture: Image.Image, prompt: str, seed: int, *, at_top: bool = False) -> Image.Image:
    """Write on a band of `picture`, in place, who made it, from which prompt and with which seed."""
    width, height = picture.size
    size = max(8, min(width, height) // 24)
    font = ImageFont.load_default(size)
    columns = max(8, int(width * 0.92 / (size * 0.55)))
    notice = textwrap.wrap(NOTICE, columns)
    lines = [*notice, *textwrap.wrap(prompt, columns)[:4], f"seed {seed}, {width} x {height}"]
    line_height = round(size * 1.35)
    margin = round(width * 0.04)
    band_height = min(height, line_height * len(lines) + margin)
    band_top = 0 if at_top else height - band_height
    band = Image.new("RGB", (width, band_height), (20, 20, 24))
    picture.paste(Image.blend(picture.crop((0, band_top, width, band_top + band_height)), band, 0.7), (0, band_top))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        position = (margin, band_top + margin // 2 + number * line_height)
        draw.text(position, line, fill=(255, 214, 130) if number < len(notice) else (235, 235, 240), font=font)
    return picture


def over(initial: Image.Image, width: int, height: int, seed: int, prompt: str) -> Image.Image:
    """`initial`, resized to `width` x `height`, with the facts written at its top."""
    return label(initial.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), prompt, seed, at_top=True)


def upscale(picture: Image.Image, width: int, height: int) -> Image.Image:
    """`picture` resized to `width` x `height` by Lanczos' method."""
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def encode(picture: Image.Image, file_format: str = "png", parameters: str = "") -> bytes:
    """The file: PNG with `parameters` as a text chunk, or JPEG, or WEBP."""
    buffer = io.BytesIO()
    if file_format == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text("parameters", parameters)
        picture.save(buffer, format="PNG", pnginfo=text, compress_level=1)
    else:
        picture.save(buffer, format={"jpg": "JPEG", "webp": "WEBP"}[file_format])
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """Read a picture file. Raises `ValueError` when it is none."""
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except Exception as error:  # Pillow's decoders raise whatever their format's library raises
        raise ValueError(str(error)) from None
    return picture


def plain(size_bytes: int) -> bytes:
    """A PNG of one small colour, padded to at least `size_bytes`, for load tests: it costs nothing to make."""
    small = encode(Image.new("RGB", (8, 8), (90, 90, 200)), parameters=NOTICE)
    missing = size_bytes - len(small) - 12
    if missing <= 0:
        return small
    # Not a run of one byte: something on the way might compress it.
    body = b"daRk" + random.Random(0).randbytes(missing)  # noqa: S311
    chunk = missing.to_bytes(4, "big") + body + binascii.crc32(body).to_bytes(4, "big")
    end = len(small) - 12  # before IEND, which is 12 bytes long
    return small[:end] + chunk + small[end:]


# A picture of `plain` with a mark behind it; sizes are multiples of three, so that both can be encoded one by one.
_MARK = b"seed"


def plain_to_mark(size_bytes: int) -> bytes:
    """The same, of a length that a mark can follow in base64."""
    made = plain(size_bytes)
    return made + b"\0" * (-len(made) % 3)


def mark(seed: int) -> bytes:
    """What follows a plain picture, so that one can see later which seed it was made for."""
    return _MARK + (seed % 2**64).to_bytes(8, "big")


def marked_seed(data: bytes) -> int | None:
    """The seed in the mark behind a plain picture; None where there is no mark."""
    end = data[-len(_MARK) - 8 :]
    return int.from_bytes(end[len(_MARK) :], "big") if end.startswith(_MARK) else None


def _colour(hue: float, light: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, light * 0.8, 0.6)
    return int(red * 255), int(green * 255), int(blue * 255)
