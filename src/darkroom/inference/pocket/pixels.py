"""Between pictures of any size and the pocket model's 64 x 64 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[np.floating[Any]]


def to_pixels(picture: Image.Image, side: int) -> Array:
    """An RGB picture as [3, side, side] in -1..1, its shorter sides filled up with its own edges."""
    longest = max(picture.size)
    scale = side / longest
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32)
    left, upper = (side - width) // 2, (side - height) // 2
    square = np.pad(small, ((upper, side - height - upper), (left, side - width - left), (0, 0)), mode="edge")
    return (square / 127.5 - 1).transpose(2, 0, 1)


def to_picture(pixels: Array, width: int, height: int, *, contained: bool) -> Image.Image:
    """Pixels [3, side, side] as a picture of any size.

    Square, unless the size is not: then the picture is continued outward with its own edge (a picture from text),
    or, `contained`, the filled-up sides that `to_pixels` added are cut away again (a picture from a picture).
    """
    bytes_ = ((pixels.transpose(1, 2, 0).clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    side = bytes_.shape[0]
    ratio = width / height
    if contained and ratio != 1:
        inner_width, inner_height = (
            (side, max(1, round(side / ratio))) if ratio > 1 else (max(1, round(side * ratio)), side)
        )
        left, upper = (side - inner_width) // 2, (side - inner_height) // 2
        bytes_ = bytes_[upper : upper + inner_height, left : left + inner_width]
    elif ratio != 1:
        extra_width = max(0, round(side * ratio) - side)
        extra_height = max(0, round(side / ratio) - side)
        bytes_ = np.pad(
            bytes_,
            (
                (extra_height // 2, extra_height - extra_height // 2),
                (extra_width // 2, extra_width - extra_width // 2),
                (0, 0),
            ),
            mode="edge",
        )
    return enlarge(Image.fromarray(bytes_), width, height)


def enlarge(picture: Image.Image, width: int, height: int) -> Image.Image:
    """To a size. Doubled step by step, sharpening at each, edges stay edges where one large step would blur them."""
    while picture.width * 2 <= width and picture.height * 2 <= height:
        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)
        picture = picture.filter(ImageFilter.UnsharpMask(radius=1.5, percent=60, threshold=0))
    return picture.resize((width, height), Image.Resampling.LANCZOS)
