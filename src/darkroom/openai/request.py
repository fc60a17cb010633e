"""What a client of OpenAI's Images API asks for: read from JSON or from a form, with every fault at once.

Beside OpenAI's own fields it takes those by which other servers of this API name what Stable Diffusion has besides
(`seed`, `negative_prompt`, `steps`, ...). A fault's path is the field's name, OpenAI's `param`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from darkroom.errors import Fault
from darkroom.openai.form import BadForm, Part, read_form
from darkroom.openai.values import Values
from darkroom.tasks.hints import did_you_mean
from darkroom.tasks.json_bounds import REQUEST_BOUNDS
from darkroom.tasks.json_text import BadJson, read_json

Kind = Literal["generate", "edit"]

LONGEST_PROMPT = 32_000
MOST_PICTURES = 10
MOST_PICTURES_IN = 16
MOST_PARTIALS = 3
LARGEST_SEED = 2**32 - 1
MOST_STEPS = 10_000
QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd")
FORMATS = ("png", "jpeg", "webp")
RESPONSES = ("b64_json", "url")

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_PICTURE = re.compile(r"image(\[\d*\])?")
# Names that mean the same; the first is told in faults where none was used.
_STEPS = ("steps", "num_inference_steps", "step")
_GUIDANCE = ("guidance_scale", "cfg_scale", "true_cfg_scale")
_STRENGTH = ("strength", "denoising_strength")
_READ = frozenset(
    {"prompt", "model", "n", "size", "quality", "response_format", "output_format", "output_compression", "stream"}
    | {"partial_images", "background", "negative_prompt", "seed", *_STEPS, *_GUIDANCE, *_STRENGTH, "image", "mask"}
)
# What has no meaning for a picture that Stable Diffusion makes: clients set it for OpenAI's sake.
_WITHOUT_MEANING = frozenset({"user", "safety_identifier", "moderation", "style", "complexity", "input_fidelity"})
_NOT_DONE = {
    "svg": "is not made here: pictures are PNG, JPEG or WebP",
    "markup": "is not read here; paint what is to change into `mask`",
    "frame_count": "is not done here: pictures do not move",
    "frame_duration_ms": "is not done here: pictures do not move",
}
_NO_TRANSPARENCY = {"transparent": "no runtime makes transparent pictures: leave it out, or say auto or opaque"}
_NO_FORMATS = {form: f"{form} is not made here; there are: {', '.join(FORMATS)}" for form in ("svg", "gif")}


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be read. What is None was left to the runtime.

    `size` is width and height in pixels; `strength` from 0 (as it was) to 1 (all anew); `pictures` are files to begin
    with, and `mask` a PNG of which the transparent part is to change.
    """

    kind: Kind
    prompt: str
    model: str | None = None
    n: int = 1
    size: tuple[int, int] | None = None
    quality: str = "auto"
    response_format: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    stream: bool = False
    partial_images: int = 0
    negative_prompt: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    pictures: tuple[bytes, ...] = ()
    mask: bytes | None = None
    warnings: tuple[Fault, ...] = ()

    def digest(self) -> str:
        """The same for two requests that ask for the same, however they were written down."""
        fields = msgspec.structs.asdict(self)
        del fields["warnings"]
        fields["pictures"] = [hashlib.sha256(picture).hexdigest() for picture in self.pictures]
        fields["mask"] = None if self.mask is None else hashlib.sha256(self.mask).hexdigest()
        return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()


class BadRequest(msgspec.Struct, frozen=True):
    """Why a request cannot be read, or cannot be done: at least one fault."""

    faults: tuple[Fault, ...]


def read_generation(body: bytes) -> ImageRequest | BadRequest:
    """Read the JSON of `/v1/images/generations`."""
    try:
        document = read_json(body, REQUEST_BOUNDS)
    except BadJson as error:
        return BadRequest((Fault("", f"the request body {error}"),))
    if not isinstance(document, dict):
        return BadRequest((Fault("", "the request body must be a JSON object"),))
    return _read("generate", document, (), None)


def read_edit(content_type: str, body: bytes) -> ImageRequest | BadRequest:
    """Read the form of `/v1/images/edits`."""
    try:
        parts = read_form(content_type, body)
    except BadForm as error:
        return BadRequest((Fault("", f"the form {error}"),))
    pictures = [part.value for part in parts if _PICTURE.fullmatch(part.name)]
    masks = [part.value for part in parts if part.name == "mask"]
    fields, faults = _texts(parts)
    if not pictures:
        faults.append(Fault("image", "is required: the picture to begin with, as a file"))
    elif len(pictures) > MOST_PICTURES_IN:
        faults.append(Fault("image", f"is there {len(pictures)} times; at most {MOST_PICTURES_IN} are allowed"))
    if len(masks) > 1:
        faults.append(Fault("mask", "is there more than once"))
    return _read("edit", fields, tuple(pictures), masks[0] if masks else None, faults)


def _texts(parts: Sequence[Part]) -> tuple[dict[str, str], list[Fault]]:
    fields: dict[str, str] = {}
    faults: list[Fault] = []
    for part in parts:
        if part.name == "mask" or _PICTURE.fullmatch(part.name):
            continue
        try:
            text = part.value.decode()
        except UnicodeDecodeError:
            faults.append(Fault(part.name, "is not encoded as UTF-8"))
            continue
        if part.name in fields:
            faults.append(Fault(part.name, "is there more than once"))
        fields[part.name] = text
    return fields, faults


def _read(
    kind: Kind, fields: Mapping[str, Any], pictures: tuple[bytes, ...], mask: bytes | None, faults: Sequence[Fault] = ()
) -> ImageRequest | BadRequest:
    values = Values(fields)
    values.faults.extend(faults)
    if kind == "generate":
        for name in ("image", "mask"):
            if name in values:
                values.fault(name, "is for /v1/images/edits")
    for name, reason in _NOT_DONE.items():
        if name in values:
            values.fault(name, reason)
    values.choice("background", ("auto", "opaque"), _NO_TRANSPARENCY)
    prompt = values.text("prompt", LONGEST_PROMPT)
    if "prompt" not in values:
        values.fault("prompt", "is required")
    elif prompt is not None and not prompt.strip():
        values.fault("prompt", "must not be empty")
    seed = values.whole("seed", -1, LARGEST_SEED)  # -1 is any, as in Stable Diffusion's own interfaces
    request = ImageRequest(
        kind=kind,
        prompt=prompt or "",
        model=values.text("model", 400),
        n=values.whole("n", 1, MOST_PICTURES) or 1,
        size=_size(values),
        quality=values.choice("quality", QUALITIES) or "auto",
        response_format=values.choice("response_format", RESPONSES),
        output_format=values.choice("output_format", FORMATS, _NO_FORMATS),
        output_compression=values.whole("output_compression", 0, 100),
        stream=values.flag("stream"),
        partial_images=values.whole("partial_images", 0, MOST_PARTIALS) or 0,
        negative_prompt=values.text("negative_prompt", LONGEST_PROMPT),
        seed=None if seed == -1 else seed,
        steps=values.whole(values.first(*_STEPS), 1, MOST_STEPS),
        guidance=values.number(values.first(*_GUIDANCE), 0, 100),
        strength=values.number(values.first(*_STRENGTH), 0, 1),
        pictures=pictures,
        mask=mask,
        warnings=_unknown(fields),
    )
    if kind == "generate" and request.strength is not None:
        values.fault(values.first(*_STRENGTH), "is for /v1/images/edits")
    return BadRequest(tuple(values.faults)) if values.faults else request


def _size(values: Values) -> tuple[int, int] | None:
    said = values.text("size", 20)
    if said is None or said == "auto":
        return None
    match = _SIZE.fullmatch(said)
    if match is None:
        values.fault("size", f"must be auto, or width and height in pixels, as in 1024x1024, not {said!r}")
        return None
    return int(match[1]), int(match[2])


def _unknown(fields: Mapping[str, Any]) -> tuple[Fault, ...]:
    unknown = [name for name in fields if name not in _READ | _WITHOUT_MEANING | _NOT_DONE.keys()]
    return tuple(
        Fault(name[:100], f"is no field that is known here, and is ignored{did_you_mean(name, _READ)}")
        for name in unknown[:20]
    )
