"""What files are, told from their bytes; real files made by Pillow where Pillow can make them."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image, PngImagePlugin

from darkroom.policy.media_types import (
    APNG,
    AVIF,
    BMP,
    GIF,
    HEAD_BYTES,
    HEIC,
    JPEG,
    LATENT,
    MATROSKA,
    MP4,
    PNG,
    QUICKTIME,
    SAFETENSORS,
    SVG,
    TIFF,
    WAV,
    WEBM,
    WEBP,
    MediaType,
    named,
    recognise,
)


def painted(file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format=file_format, **options)
    return buffer.getvalue()


def animated(file_format: str, **options: object) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=file_format, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def png_with_workflow(size: int) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "acTL" + "x" * size)
    return animated("PNG", pnginfo=text)


def safetensors(header: dict[str, object]) -> bytes:
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + b"\0" * 16


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(painted("PNG"), PNG, id="png"),
        pytest.param(animated("PNG"), APNG, id="animated png"),
        pytest.param(png_with_workflow(20_000), APNG, id="animated png behind a long text chunk"),
        pytest.param(painted("JPEG"), JPEG, id="jpeg"),
        pytest.param(painted("WEBP"), WEBP, id="webp"),
        pytest.param(animated("WEBP"), WEBP, id="animated webp"),
        pytest.param(painted("GIF"), GIF, id="gif"),
        pytest.param(animated("GIF"), GIF, id="animated gif"),
        pytest.param(painted("BMP"), BMP, id="bmp"),
        pytest.param(painted("TIFF"), TIFF, id="tiff"),
        pytest.param(b"\0\0\0\x20ftypavif\0\0\0\0", AVIF, id="avif"),
        pytest.param(b"\0\0\0\x20ftypisom\0\0\x02\0", MP4, id="mp4"),
        pytest.param(b"\0\0\0\x14ftypqt  \0\0\x02\0", QUICKTIME, id="quicktime"),
        # The first bytes of what ComfyUI's video node wrote: EBML header, document type "webm".
        pytest.param(bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d"), WEBM, id="webm"),
        pytest.param(
            bytes.fromhex("1a45dfa3a34286810142f7810142f2810442f381084282886d6174726f736b61"), MATROSKA, id="mkv"
        ),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt ", WAV, id="wav"),
        pytest.param(safetensors({"latent_tensor": TENSOR, "latent_format_version_0": TENSOR}), LATENT, id="latent"),
        pytest.param(safetensors({"weight": TENSOR}), SAFETENSORS, id="other tensors"),
    ],
)
def test_files_are_recognised(data: bytes, expected: MediaType) -> None:
    assert recognise(data) == expected
    assert recognise(data[:HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", SVG),
        (b"\xef\xbb\xbf  <?xml version='1.0'?>\n<!-- made by hand -->\n<svg width='1'/>", SVG),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", HEIC),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", HEIC),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", AVIF),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", MP4),
    ],
)
def test_pictures_that_runtimes_do_not_read_are_told_from_videos_and_text(data: bytes, expected: MediaType) -> None:
    assert recognise(data) == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PN", b"<html>", b"<?xml version='1.0'?><html/>", b'{"error": "no"}', b"RIFF\0\0\0\0ABCD"],
)
def test_anything_else_is_not(data: bytes) -> None:
    assert recognise(data) is None


def test_a_plain_png_that_speaks_of_animation_in_its_text_is_not_animated() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "acTL")
    assert recognise(painted("PNG", pnginfo=text)) == PNG


def test_png_cut_off_in_the_middle_of_a_chunk_is_still_a_png() -> None:
    assert recognise(painted("PNG")[:20]) == PNG


def test_only_pictures_are_pictures() -> None:
    assert [kind.is_picture for kind in (PNG, APNG, JPEG, WEBP, GIF)] == [True] * 5
    assert [kind.is_picture for kind in (MP4, WEBM, LATENT)] == [False] * 3


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("glb", ("glb", "model/gltf-binary")),
        ("PLY", ("ply", "model/ply")),
        ("mesh", ("mesh", "application/octet-stream")),
        ("", ("bin", "application/octet-stream")),
        (None, ("bin", "application/octet-stream")),
        ("a/../../b", ("bin", "application/octet-stream")),
        ("veryverylong", ("bin", "application/octet-stream")),
        ("html\n", ("bin", "application/octet-stream")),
    ],
)
def test_what_no_bytes_tell_is_named_as_its_maker_named_it(extension: str | None, expected: tuple[str, str]) -> None:
    found = named(extension)
    assert (found.extension, found.content_type) == expected
