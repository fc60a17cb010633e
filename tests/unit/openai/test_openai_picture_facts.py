"""Sizes and transparency, held to Pillow, which decodes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from darkroom.openai.picture_facts import PictureFacts, has_transparency, read_facts


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(mode: str, width: int, height: int, seed: int) -> Image.Image:
    data = bytes((seed * 31 + index * 197 + index // 7) % 256 for index in range(width * height * len(mode)))
    return Image.frombytes(mode, (width, height), data)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True, "comment": "x" * 500}),
        ("webp", {}),
        ("webp", {"lossless": True}),
        ("webp", {"exif": b"Exif\0\0" + b"x" * 20}),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (17, 300), (512, 640)])
def test_sizes_are_those_that_pillow_reads(file_format: str, options: dict[str, object], size: tuple[int, int]) -> None:
    picture = encoded(Image.new("RGB", size, "teal"), file_format, **options)
    assert read_facts(picture) == PictureFacts(file_format, *size)


@pytest.mark.parametrize(
    "picture", [b"", b"GIF89a" + b"x" * 50, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF1234WEBPVP8"]
)
def test_what_is_none_of_the_three_or_cut_off_has_no_facts(picture: bytes) -> None:
    assert read_facts(picture) is None


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(["RGBA", "LA"]),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    seed=st.integers(0, 1000),
    hole=st.none()
    | st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.integers(0, 254)),
)
def test_one_transparent_pixel_is_found_wherever_it_is(
    mode: str, width: int, height: int, seed: int, hole: tuple[float, float, int] | None
) -> None:
    picture = noise(mode, width, height, seed)
    picture.putalpha(255)
    if hole is not None:
        alpha = picture.getchannel("A")
        alpha.putpixel((int(hole[0] * width), int(hole[1] * height)), hole[2])
        picture.putalpha(alpha)
    assert has_transparency(encoded(picture, "png")) is (hole is not None)


@pytest.mark.parametrize("row_filter", range(5))
@pytest.mark.parametrize("hole", [None, (0, 0), (6, 4), (3, 2)])
def test_each_of_the_filters_is_seen_through(row_filter: int, hole: tuple[int, int] | None) -> None:
    picture = noise("RGBA", 7, 5, 3)
    picture.putalpha(255)
    if hole is not None:
        picture.putpixel(hole, (1, 2, 3, 254))
    png = filtered_png(picture, row_filter)
    assert Image.open(io.BytesIO(png)).convert("RGBA").tobytes() == picture.tobytes()
    assert has_transparency(png) is (hole is not None)


def test_pictures_without_an_alpha_channel() -> None:
    assert not has_transparency(encoded(Image.new("RGB", (8, 8)), "png"))
    palette = Image.new("P", (8, 8))
    assert not has_transparency(encoded(palette, "png"))
    assert has_transparency(encoded(palette, "png", transparency=0))
    assert has_transparency(encoded(Image.new("RGB", (8, 8)), "png", transparency=(0, 0, 0)))
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "x" * 100)
    assert not has_transparency(encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 255)), "png", pnginfo=text))


def test_a_large_opaque_picture_is_looked_through_quickly_and_a_bomb_is_not() -> None:
    import time

    png = encoded(
        noise("RGBA", 512, 512, 1).convert("RGB").convert("RGBA").resize((2048, 2048)), "png", compress_level=1
    )
    began = time.process_time()
    assert not has_transparency(png)
    assert time.process_time() - began < 2
    began = time.process_time()
    has_transparency(encoded(Image.new("RGB", (8, 8)), "png")[:-12] + bytes(6_000_000))  # chunks of nothing
    assert time.process_time() - began < 0.5
    bomb = bytearray(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 255)), "png"))
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    assert has_transparency(bytes(bomb))  # taken at its word


@given(st.binary(max_size=200))
def test_anything_can_be_looked_at(data: bytes) -> None:
    for beginning in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0", b"RIFF0000WEBPVP8L", b""):
        read_facts(beginning + data)
        has_transparency(beginning + data)


def filtered_png(picture: Image.Image, row_filter: int) -> bytes:
    """`picture` (RGBA) with every row under one filter, as PNG's specification defines it."""
    import struct
    import zlib

    width, height = picture.size
    raw = picture.tobytes()
    rows = [raw[y * width * 4 : (y + 1) * width * 4] for y in range(height)]
    lines = []
    before = bytes(width * 4)
    for row in rows:
        line = bytearray([row_filter])
        for index, value in enumerate(row):
            left = row[index - 4] if index >= 4 else 0
            above, corner = before[index], before[index - 4] if index >= 4 else 0
            guess = left + above - corner
            nearest = min((left, above, corner), key=lambda one: abs(guess - one))
            prediction = (0, left, above, (left + above) // 2, nearest)[row_filter]
            line.append((value - prediction) % 256)
        lines.append(bytes(line))
        before = row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = zlib.compress(b"".join(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
