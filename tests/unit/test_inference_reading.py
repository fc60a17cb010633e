"""Pictures as people send them to the built-in runtime, and as they are meant."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import InvalidRequest
from darkroom.inference import base64_text
from darkroom.inference.base64_text import base64_length, decode_base64, encode_base64
from darkroom.inference.engine import Fill
from darkroom.inference.inpainting import MaskOptions, ResizeMode, prepare
from darkroom.inference.reading import read_notes, receive_picture

MASK = MaskOptions(0, 0, round=True, invert=False, full_resolution=False, padding=0, fill=Fill.ORIGINAL)


def saved(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decoded(data: bytes) -> Image.Image:
    return receive_picture(text(data), "image").decode()


PICTURE = saved(Image.new("RGB", (40, 24), (10, 200, 30)))


@pytest.mark.parametrize(
    "written",
    [
        lambda plain: plain,
        lambda plain: "\n".join(re.findall(".{1,76}", plain)) + "\n",
        lambda plain: "\r\n".join(re.findall(".{1,64}", plain)),
        lambda plain: f"  {plain}\t ",
        lambda plain: plain.rstrip("="),
        lambda plain: f"data:image/png;base64,{plain}",
        lambda plain: f"DATA:image/png;charset=utf-8;name=a.png;base64,{plain}",
        lambda plain: f"data:application/octet-stream;base64,\n{plain.rstrip('=')}\n",
    ],
)
def test_base64_as_people_write_it(written: Callable[[str], str]) -> None:
    for length in (0, 1, 2):  # behind its end a PNG may have anything; so every form of base64's end is met
        received = receive_picture(written(text(PICTURE + b"\0" * length)), "image")
        assert received.size == (40, 24)
        assert received.decode().getpixel((1, 1)) == (10, 200, 30)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 40), st.booleans())
def test_base64_in_pieces_of_any_size(data: bytes, size: int, padded: bool) -> None:
    plain = text(data)
    broken = "\n".join(plain[start : start + size] for start in range(0, len(plain), size))
    assert decode_base64(f"{broken if padded else broken.rstrip('=')}\n") == data
    assert b"".join(encode_base64(data)).decode() == plain
    assert base64_length(len(data)) == len(plain)


def test_base64_longer_than_a_piece() -> None:
    data = bytes(range(256)) * 20_000
    assert decode_base64("\n".join(re.findall(".{1,76}", text(data)))) == data
    assert b"".join(encode_base64(data)).decode() == text(data)
    assert len(text(data)) > base64_text._READ


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("!!!notbase64", "'!', which base64 does not have"),
        ("aGVsbG8\u00e9", "'\u00e9', which base64 does not have"),
        ("aGVsb", "it is cut off"),
        ("aGVs=bG8=", "behind its end"),
        ("data:image/png,abc", "does not say base64"),
        ("/tmp/cat.png", "none of the formats|which base64 does not have|cut off"),
        ("https://example.com/cat.png", "links are not fetched here"),
        (text(b"hello world"), "none of the formats that this runtime reads; send PNG, JPEG, WebP"),
        (text(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60), "it is a HEIC picture, which this runtime does not"),
        (text(b"\0\0\0\x18ftypisom" + b"\0" * 60), "it is a video"),
        (text(b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'), "it is an SVG drawing"),
        (text(b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<svg width="64"/>'), "it is an SVG drawing"),
        (text(b"%PDF-1.4\n%EOF"), "it is a PDF document"),
        (text(b"<!DOCTYPE html><html>"), "it is a web page"),
        (text(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "it is a PostScript file"),
        (text(PICTURE[:60]), "damaged or cut off"),
        (text(saved(Image.effect_noise((64, 64), 50))[:-200]), "damaged or cut off"),
        (text(b"RIFF\x10\0\0\0WEBPVP8 "), "damaged or cut off"),
    ],
)
def test_what_is_no_picture_is_named_with_what_would_work(sent: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        receive_picture(sent, "init_images.0").decode()
    assert str(caught.value).startswith("init_images.0: ")
    assert "0x" not in str(caught.value)
    assert "<_io" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_that_is_named_is_read(kind: str) -> None:
    picture = decoded(saved(Image.new("RGB", (40, 24), (200, 30, 60)), kind))
    assert picture.size == (40, 24)
    assert max(abs(a - b) for a, b in zip(picture.convert("RGB").getpixel((9, 9)), (200, 30, 60), strict=True)) < 12  # type: ignore[arg-type]


def ramp(highest: int, kind: Any) -> Image.Image:
    return Image.fromarray((np.linspace(0, 1, 64)[None, :].repeat(8, 0) * highest).astype(kind))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(ramp(65535, np.uint16)), "PNG of 16 bits"),
        (saved(ramp(65535, np.uint16), "TIFF"), "TIFF of 16 bits"),
        (saved(ramp(2**31 - 1, np.int32), "TIFF"), "TIFF of 32 bits"),
        (saved(ramp(65535, np.int32), "TIFF"), "TIFF of 32 bits that fills 16"),
        (saved(ramp(255, np.int32), "TIFF"), "TIFF of 32 bits that fills 8"),
        (saved(ramp(1, np.float32), "TIFF"), "TIFF of numbers between 0 and 1"),
        (saved(ramp(255, np.uint8)), "PNG of 8 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_more_bits_are_scaled_and_not_cut_off(data: bytes, name: str) -> None:
    values = np.asarray(decoded(data).convert("L"))[0].astype(int)
    assert abs(values - np.linspace(0, 255, 64)).max() <= 2


def test_numbers_that_are_none_are_black() -> None:
    strange = np.array([[np.nan, 1.0, np.inf, 0.5]], np.float32).repeat(4, 0)
    assert list(np.asarray(decoded(saved(Image.fromarray(strange), "TIFF")))[0]) == [0, 255, 0, 127]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_their_exif_says(kind: str, orientation: int) -> None:
    # What a viewer shows: red above, blue below, white to the left of the red.
    meant = Image.new("RGB", (96, 48), "blue")
    meant.paste("red", (0, 0, 96, 24))
    meant.paste("white", (0, 0, 24, 24))
    undone = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = meant if undone is None else meant.transpose(undone)
    received = receive_picture(text(saved(stored, kind, exif=exif)), "image")
    shown = received.decode().convert("RGB")
    assert received.size == shown.size == (96, 48)
    difference = np.asarray(shown).astype(int) - np.asarray(meant)
    assert abs(difference).mean() < 10


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"", b"MM\0*\xff\xff\xff\xff"]
)
def test_exif_that_cannot_be_read_says_nothing(exif: bytes) -> None:
    data = saved(Image.new("RGB", (40, 24), "red"), "JPEG", exif=exif)
    assert decoded(data).size == (40, 24)
    assert read_notes(text(data), "image") == ("", {})


STROKE = (16, 16, 48, 48)


def strokes(mode: str, colour: Any, ground: Any) -> Image.Image:
    mask = Image.new(mode, (64, 64), ground)
    mask.paste(colour, STROKE)
    return mask


def palette_mask() -> Image.Image:
    mask = Image.new("P", (64, 64), 0)
    mask.putpalette([255, 255, 255, 255, 255, 255])
    mask.paste(1, STROKE)
    return mask


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(strokes("L", 255, 0)), "white on black"),
        (saved(strokes("RGB", (255, 255, 255), (0, 0, 0))), "white on black in colours"),
        (saved(strokes("RGBA", (255, 255, 255, 255), (0, 0, 0, 255))), "white on opaque black"),
        (saved(strokes("RGBA", (255, 255, 255, 255), (255, 255, 255, 0))), "white on transparent white"),
        (saved(strokes("RGBA", (255, 255, 255, 255), (0, 0, 0, 0))), "white on transparent black"),
        (saved(strokes("RGBA", (0, 0, 0, 255), (0, 0, 0, 0))), "black on transparent black"),
        (saved(strokes("RGBA", (200, 0, 90, 255), (255, 255, 255, 0))), "a colour on transparent white"),
        (saved(strokes("RGBA", (255, 255, 255, 200), (0, 0, 0, 0))), "a soft brush"),
        (saved(strokes("LA", (255, 255), (255, 0))), "grey with alpha"),
        (saved(palette_mask(), transparency=0), "a palette with a transparent colour"),
        (saved(Image.fromarray(np.pad(np.full((32, 32), 65535, np.uint16), 16))), "white on black in 16 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_masks_are_read_as_they_are_painted(data: bytes, name: str) -> None:
    mask = receive_picture(text(data), "mask").decode()
    prepared = prepare([Image.new("RGB", (64, 64), "blue")], mask, 64, 64, ResizeMode.STRETCH, MASK)
    assert prepared.mask is not None
    assert prepared.mask.getbbox() == STROKE


def test_a_transparent_mask_without_a_stroke_is_empty() -> None:
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    with pytest.raises(InvalidRequest, match="paint white"):
        prepare([Image.new("RGB", (64, 64))], mask, 64, 64, ResizeMode.STRETCH, MASK)
