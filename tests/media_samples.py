"""Files of every kind that runtimes make, and how they are decoded again."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Mapping
from typing import Any

import av
import numpy as np
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

FRAMES = 4
SIDE = 48
# What A1111 and ComfyUI write beside their pictures.
PARAMETERS = "a dog\nNegative prompt: cat\nSteps: 20, Sampler: Euler a, Seed: 1"
WORKFLOW = '{"3": {"class_type": "KSampler", "inputs": {}}}'

Sample = Callable[[], bytes]


def picture(form: str, **options: Any) -> bytes:
    """A picture in one of Pillow's formats."""
    return _saved([_frame(0)], form, **options)


def animation(form: str, **options: Any) -> bytes:
    """The same with frames that differ."""
    frames = [_frame(number) for number in range(FRAMES)]
    return _saved(frames, form, save_all=True, append_images=frames[1:], duration=100, loop=0, **options)


def film(form: str, codec: str, **options: str) -> bytes:
    """A film of some frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=8)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_image(_frame(number))))
        container.mux(stream.encode())
    return buffer.getvalue()


def sound() -> bytes:
    """A second of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return buffer.getvalue()


def drawing() -> bytes:
    """An SVG with what may stand in front of its root."""
    return (
        b'<?xml version="1.0"?><!-- <svg> --><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
        b'<rect width="9" height="9"/></svg>'
    ).replace(b"<!-- <svg> -->", b"")


def with_texts() -> bytes:
    """A PNG as A1111 and ComfyUI write one, with their words in it."""
    texts = PngInfo()
    texts.add_text("parameters", PARAMETERS)
    texts.add_text("prompt", WORKFLOW)
    texts.add_itxt("workflow", WORKFLOW)
    return picture("PNG", pnginfo=texts)


PICTURES: Mapping[str, Sample] = {
    "png": lambda: picture("PNG"),
    "png with texts": with_texts,
    "png of a palette": lambda: _saved([_frame(0).convert("P")], "PNG"),
    "apng": lambda: animation("PNG"),
    "jpeg": lambda: picture("JPEG"),
    "jpeg with exif": lambda: picture("JPEG", exif=_exif(), progressive=True),
    "webp": lambda: picture("WEBP"),
    "webp lossless with alpha": lambda: _saved([_frame(0).convert("RGBA")], "WEBP", lossless=True),
    "webp with exif": lambda: picture("WEBP", exif=_exif()),
    "animated webp": lambda: animation("WEBP", lossless=True),
    "gif": lambda: picture("GIF"),
    "animated gif": lambda: animation("GIF"),
    "tiff": lambda: picture("TIFF"),
    "tiff of many pages": lambda: animation("TIFF", compression="tiff_lzw"),
    "tiff of the other order": lambda: _big_endian_tiff(),
    "avif": lambda: picture("AVIF"),
    "avif with exif": lambda: picture("AVIF", exif=_exif()),
}
FILMS: Mapping[str, Sample] = {
    "mp4": lambda: film("mp4", "libx264"),
    "fragmented mp4": lambda: film("mp4", "libx264", movflags="frag_keyframe+empty_moov"),
    "mov": lambda: film("mov", "libx264"),
}
FILMS_WITHOUT_A_PLACE: Mapping[str, Sample] = {
    "webm": lambda: film("webm", "libvpx-vp9"),
    "mkv": lambda: film("matroska", "libx264"),
}


def frames_of(data: bytes) -> list[bytes]:
    """The pixels of every frame of a picture."""
    with Image.open(io.BytesIO(data)) as opened:
        return [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(opened)]


def film_frames_of(data: bytes) -> list[bytes]:
    """The pixels of every frame of a film."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def _frame(number: int) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def _saved(frames: list[Image.Image], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, form, **options)
    return buffer.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x9286] = PARAMETERS  # where A1111 keeps its words in what is no PNG
    exif[0x010E] = "a description"
    return exif.tobytes()


def _big_endian_tiff() -> bytes:
    from PIL import TiffImagePlugin

    directory = TiffImagePlugin.ImageFileDirectory_v2(ifh=b"MM\x00\x2a\x00\x00\x00\x00", prefix=b"MM")
    return _saved([_frame(0)], "TIFF", tiffinfo=directory)
