"""Everything about img2img that happens to pixels before and after the engine: resizing, masks, pasting back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from PIL import Image, ImageFilter, ImageOps

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.engine import Fill

Box = tuple[int, int, int, int]


class ResizeMode(IntEnum):
    """SD Web UI's `resize_mode`."""

    STRETCH = 0
    CROP = 1
    PAD = 2
    LATENT = 3


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """How a mask is read.

    Blurred by so many pixels, hard-edged first, inverted; whether only its surroundings (with `padding` pixels around
    them) are redrawn, at full resolution; and what is there before.
    """

    blur_x: int
    blur_y: int
    round: bool
    invert: bool
    full_resolution: bool
    padding: int
    fill: Fill


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the engine gets, and what is needed to put its pictures back into the originals."""

    images: tuple[Image.Image, ...]
    mask: Image.Image | None = None
    originals: tuple[Image.Image, ...] = ()
    overlay_mask: Image.Image | None = None
    box: Box | None = None

    def finish(self, index: int, picture: Image.Image) -> Image.Image:
        """The engine's picture, with everything outside the mask as it was."""
        if self.overlay_mask is None:
            return picture
        original = self.originals[index % len(self.originals)]
        if self.box is not None:
            left, upper, right, lower = self.box
            placed = original.copy()
            placed.paste(picture.resize((right - left, lower - upper), Image.Resampling.LANCZOS), (left, upper))
            picture = placed
        return Image.composite(picture, original, self.overlay_mask)


def resize(picture: Image.Image, width: int, height: int, mode: ResizeMode) -> Image.Image:
    """A picture at the size asked for: stretched, cropped to fit, or padded with its own blurred edges."""
    size = (width, height)
    if picture.size == size or mode in (ResizeMode.STRETCH, ResizeMode.LATENT):
        return picture.resize(size, Image.Resampling.LANCZOS)
    if mode is ResizeMode.CROP:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    fitted = ImageOps.contain(picture, size, Image.Resampling.LANCZOS)
    padded = picture.resize(size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(min(size) / 16))
    padded.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return padded


def prepare(
    pictures: list[Image.Image],
    mask: Image.Image | None,
    width: int,
    height: int,
    mode: ResizeMode,
    options: MaskOptions,
) -> Prepared:
    """Bring pictures (RGB) and mask (white: redraw) to the engine's size. Raises `InvalidRequest`."""
    if mask is None:
        return Prepared(tuple(resize(picture, width, height, mode) for picture in pictures))
    mask = _read_mask(mask, options)
    if not mask.getbbox():
        raise InvalidRequest([Fault("mask", "is empty: nothing would be redrawn; paint white what is to change")])
    if options.full_resolution:
        return _around_mask(pictures, mask, width, height, options)
    originals = tuple(resize(picture, width, height, mode) for picture in pictures)
    mask = resize(mask, width, height, mode)
    images = tuple(_fill(picture, mask, options.fill) for picture in originals)
    return Prepared(images, mask, originals, mask)


def _read_mask(mask: Image.Image, options: MaskOptions) -> Image.Image:
    # As in SD Web UI: a mask of which any part is transparent was drawn with a brush on nothing, and its strokes count,
    # whatever their colour; one without transparency is black and white.
    grey = mask.convert("L")
    if mask.has_transparency_data:
        alpha = mask.convert("RGBA").getchannel("A")
        grey = alpha if alpha.getextrema()[0] != 255 else grey
    if options.round:
        grey = grey.point(lambda value: 255 if value > 127 else 0)
    if options.invert:
        grey = ImageOps.invert(grey)
    if options.blur_x or options.blur_y:
        grey = grey.filter(ImageFilter.GaussianBlur((options.blur_x, options.blur_y)))
    return grey


def _around_mask(
    pictures: list[Image.Image], mask: Image.Image, width: int, height: int, options: MaskOptions
) -> Prepared:
    mask = mask.resize(pictures[0].size, Image.Resampling.LANCZOS)
    originals = tuple(picture.resize(mask.size, Image.Resampling.LANCZOS) for picture in pictures)
    found = mask.getbbox()
    if found is None:
        raise InvalidRequest([Fault("mask", "is empty: nothing would be redrawn; paint white what is to change")])
    box = _expand(found, options.padding, width / height, mask.size)
    part = mask.crop(box).resize((width, height), Image.Resampling.LANCZOS)
    images = tuple(
        _fill(picture.crop(box).resize((width, height), Image.Resampling.LANCZOS), part, options.fill)
        for picture in originals
    )
    return Prepared(images, part, originals, mask, box)


def _expand(box: Box, padding: int, ratio: float, size: tuple[int, int]) -> Box:
    """The box with padding, widened to the ratio (width to height) where the picture has room."""
    left, upper = max(0, box[0] - padding), max(0, box[1] - padding)
    right, lower = min(size[0], box[2] + padding), min(size[1], box[3] + padding)
    wanted_width = min(size[0], max(right - left, round((lower - upper) * ratio)))
    wanted_height = min(size[1], max(lower - upper, round((right - left) / ratio)))
    left = min(max(0, (left + right - wanted_width) // 2), size[0] - wanted_width)
    upper = min(max(0, (upper + lower - wanted_height) // 2), size[1] - wanted_height)
    return (left, upper, left + wanted_width, upper + wanted_height)


def _fill(picture: Image.Image, mask: Image.Image, fill: Fill) -> Image.Image:
    """What the masked part shows at first: its blurred surroundings, or itself. The engine fills with noise."""
    if fill is not Fill.BLURRED:
        return picture
    hole = mask.point(lambda value: 255 if value > 8 else 0)
    outside = Image.composite(Image.new("RGB", picture.size), picture, hole)
    weight = ImageOps.invert(hole)
    result = outside
    # From coarse to fine: each blur carries colour further into the hole than the one before.
    for radius in (256, 64, 16, 4, 0):
        colour = outside.filter(ImageFilter.GaussianBlur(radius))
        cover = weight.filter(ImageFilter.GaussianBlur(radius))
        layer = colour.convert("RGBA")
        layer.putalpha(cover)
        # Premultiplied by its cover, since the hole was painted black before the blur.
        plain = Image.merge("RGB", [_divide(channel, cover) for channel in colour.split()])
        result = Image.composite(plain, result, cover.point(lambda value: 255 if value > 12 else 0))
    return Image.composite(result, picture, hole)


def _divide(channel: Image.Image, cover: Image.Image) -> Image.Image:
    import numpy as np

    values = np.asarray(channel, dtype=np.float32) * 255 / np.maximum(np.asarray(cover, dtype=np.float32), 1)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
