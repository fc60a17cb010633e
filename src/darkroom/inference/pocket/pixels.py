"""Between pictures of any size and the pocket model's 64 x 64 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[np.floating[Any]]

#: Over how many pixels an edge runs out into its mean colour.
FADE = 10.0


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
        bytes_ = _continued(bytes_, max(0, round(side * ratio) - side), max(0, round(side / ratio) - side))
    return enlarge(Image.fromarray(bytes_), width, height)


def _continued(pixels: NDArray[np.uint8], extra_width: int, extra_height: int) -> NDArray[np.uint8]:
    """A picture made larger on all sides: its edges run out into their mean colour, so that no streaks are seen."""
    left, upper = extra_width // 2, extra_height // 2
    margins = ((upper, extra_height - upper), (left, extra_width - left), (0, 0))
    edges = np.pad(pixels, margins, mode="edge").astype(np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    rows, columns = (
        np.maximum(np.maximum(before - np.arange(size), np.arange(size) - (size - 1 - after)), 0)
        for (before, after), size in zip(margins[:2], edges.shape[:2], strict=True)
    )
    away = np.minimum(np.maximum(rows[:, None], columns[None, :]) / FADE, 1)[..., None]
    faded: NDArray[np.uint8] = (edges * (1 - away) + np.median(border, axis=0) * away).round().astype(np.uint8)
    return faded


def enlarge(picture: Image.Image, width: int, height: int) -> Image.Image:
    """To a size. Doubled step by step, sharpening at each, edges stay edges where one large step would blur them."""
    while picture.width * 2 <= width and picture.height * 2 <= height:
        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)
        picture = picture.filter(ImageFilter.UnsharpMask(radius=1.5, percent=60, threshold=0))
    return picture.resize((width, height), Image.Resampling.LANCZOS)
