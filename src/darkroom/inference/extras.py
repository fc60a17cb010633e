"""Upscaling as SD Web UI's "extras" do it: one or two upscalers, to a factor or to a size."""

from __future__ import annotations

import html

from PIL import Image

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.requests import ExtrasBody
from darkroom.inference.upscaling import Upscaling


def check(body: ExtrasBody) -> None:
    """Raises `InvalidRequest` for face restoration, which this runtime does not have."""
    faults = [
        Fault(name, "is not supported by this runtime: it restores no faces; send 0")
        for name, value in (
            ("gfpgan_visibility", body.gfpgan_visibility),
            ("codeformer_visibility", body.codeformer_visibility),
        )
        if value
    ]
    if faults:
        raise InvalidRequest(faults)


def enlarge(body: ExtrasBody, picture: Image.Image, upscaling: Upscaling) -> Image.Image:
    """One picture, upscaled. Raises what `Upscaling.upscale` raises."""
    picture = picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGBA" if "A" in picture.mode else "RGB")
    if body.upscaler_1 == "None":
        return picture  # SD Web UI has nothing to do then, whatever size was asked for
    width, height, crop = _size(body, picture)
    result = upscaling.upscale(body.upscaler_1, picture, width, height)
    if body.upscaler_2 != "None" and body.extras_upscaler_2_visibility > 0:
        other = upscaling.upscale(body.upscaler_2, picture, width, height)
        result = Image.blend(result, other, body.extras_upscaler_2_visibility)
    return result.crop(crop) if crop is not None else result


def describe(body: ExtrasBody) -> str:
    """SD Web UI's `html_info`."""
    if body.upscaler_1 == "None":
        return "<p></p>"
    size = f"{body.upscaling_resize_w}x{body.upscaling_resize_h}"
    parts = (
        [f"Postprocess upscale by: {body.upscaling_resize}"]
        if body.resize_mode == 0
        else [f"Postprocess upscale to: {size}", *([f"Postprocess crop to: {size}"] if body.upscaling_crop else [])]
    )
    parts.append(f"Postprocess upscaler: {html.escape(body.upscaler_1)}")
    if body.upscaler_2 != "None" and body.extras_upscaler_2_visibility > 0:
        parts.append(f"Postprocess upscaler 2: {html.escape(body.upscaler_2)}")
    return f"<p>{', '.join(parts)}</p>"


def _size(body: ExtrasBody, picture: Image.Image) -> tuple[int, int, tuple[int, int, int, int] | None]:
    """The size to enlarge to, and what to cut out of that."""
    if body.resize_mode == 0:
        factor = body.upscaling_resize
        return round(picture.width * factor), round(picture.height * factor), None
    wide, high = body.upscaling_resize_w / picture.width, body.upscaling_resize_h / picture.height
    factor = max(wide, high) if body.upscaling_crop else min(wide, high)
    width, height = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    if not body.upscaling_crop:
        return width, height, None
    left, upper = (width - body.upscaling_resize_w) // 2, (height - body.upscaling_resize_h) // 2
    return width, height, (left, upper, left + body.upscaling_resize_w, upper + body.upscaling_resize_h)
