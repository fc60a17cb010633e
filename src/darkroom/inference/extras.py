"""Upscaling as SD Web UI's "extras" do it: one or two upscalers, to a factor or to a size."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from concurrent.futures import Future

from PIL import Image

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.codec import Codec
from darkroom.inference.device import Job
from darkroom.inference.limits import MAX_REQUEST_PIXELS
from darkroom.inference.options import Options
from darkroom.inference.pictures import check_sides, encode_picture
from darkroom.inference.reading import Received
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


def upscalers(body: ExtrasBody) -> tuple[str, ...]:
    """The upscalers that the results depend on."""
    if body.upscaler_1 == "None":
        return ()
    seen = body.upscaler_2 != "None" and body.extras_upscaler_2_visibility > 0
    return (body.upscaler_1, body.upscaler_2) if seen else (body.upscaler_1,)


def check_amount(body: ExtrasBody, pictures: Sequence[Received], file_format: str) -> None:
    """Raises `InvalidRequest` when the results are too large, for memory or for the format that they are written in."""
    together = 0
    for picture in pictures:
        width, height, crop = _size(body, picture.size) if body.upscaler_1 != "None" else (*picture.size, None)
        if width * height > MAX_REQUEST_PIXELS:
            raise InvalidRequest(
                [
                    Fault(
                        "upscaling_resize",
                        f"{picture.path} would have {width}x{height} pixels, more than {MAX_REQUEST_PIXELS}; ask for "
                        "less",
                    )
                ]
            )
        size = (crop[2] - crop[0], crop[3] - crop[1]) if crop is not None else (width, height)
        check_sides(*size, file_format, "upscaling_resize")
        together += math.prod(size)
    if together > MAX_REQUEST_PIXELS:
        raise InvalidRequest(
            [
                Fault(
                    "imageList",
                    f"the results have {together} pixels together, more than {MAX_REQUEST_PIXELS}; ask for less, or "
                    "send the pictures in several requests",
                )
            ]
        )


def enlarge_all(
    body: ExtrasBody, pictures: Sequence[Received], upscaling: Upscaling, codec: Codec, job: Job, options: Options
) -> list[Future[bytes]]:
    """The pictures, upscaled one after another on the device's thread; their files are written meanwhile.

    The next one is decoded while one is enlarged. An interrupted job returns what it has. Raises what
    `Upscaling.upscale` raises, and `InvalidRequest` for a picture that cannot be decoded.
    """
    files = []
    decoded = [codec.ahead(picture.decode) for picture in pictures[:1]]
    for number in range(len(pictures)):
        if not job.begin_round(number, len(pictures)):
            break
        picture = decoded.pop().result()
        decoded = [codec.ahead(after.decode) for after in pictures[number + 1 : number + 2]]
        files.append(_write(codec, enlarge(body, picture, upscaling), options))
    return files


def _write(codec: Codec, picture: Image.Image, options: Options) -> Future[bytes]:
    # Named here, so that nothing else holds the picture.
    return codec.write(
        math.prod(picture.size), lambda: encode_picture(picture, options.samples_format, quality=options.jpeg_quality)
    )


def enlarge(body: ExtrasBody, picture: Image.Image, upscaling: Upscaling) -> Image.Image:
    """One picture, upscaled. Raises what `Upscaling.upscale` raises."""
    picture = picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGBA" if "A" in picture.mode else "RGB")
    if body.upscaler_1 == "None":
        return picture  # SD Web UI has nothing to do then, whatever size was asked for
    width, height, crop = _size(body, picture.size)
    result = upscaling.upscale(body.upscaler_1, picture, width, height)
    for second in upscalers(body)[1:]:
        other = upscaling.upscale(second, picture, width, height)
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


def _size(body: ExtrasBody, size: tuple[int, int]) -> tuple[int, int, tuple[int, int, int, int] | None]:
    """The size to enlarge to, and what to cut out of that."""
    if body.resize_mode == 0:
        factor = body.upscaling_resize
        return round(size[0] * factor), round(size[1] * factor), None
    wide, high = body.upscaling_resize_w / size[0], body.upscaling_resize_h / size[1]
    factor = max(wide, high) if body.upscaling_crop else min(wide, high)
    width, height = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    if not body.upscaling_crop:
        return width, height, None
    left, upper = (width - body.upscaling_resize_w) // 2, (height - body.upscaling_resize_h) // 2
    return width, height, (left, upper, left + body.upscaling_resize_w, upper + body.upscaling_resize_h)
