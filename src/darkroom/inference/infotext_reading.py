"""Reads the text that describes how a picture was made, as SD Web UI and its users' tools write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.requests import GenerationBody, TextToImageBody

B = TypeVar("B", bound=GenerationBody)

_NEGATIVE = "Negative prompt:"
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})")
#: A last line with fewer values is a part of the prompt.
_FEWEST_VALUES = 3
#: No program writes as much; a picture may hold any text.
_LONGEST = 200_000

#: What SD Web UI 1.10 says where a text does not.
DEFAULTS: Mapping[str, Any] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}

#: Which field of a request each value is for.
_FIELDS = {
    "Steps": "steps",
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "Seed": "seed",
}
_FIELDS_OF_TEXT_TO_IMAGE = {
    **_FIELDS,
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "CFG scale": "cfg_scale",
    "Size-1": "width",
    "Size-2": "height",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Denoising strength": "denoising_strength",
    "Hires upscale": "hr_scale",
    "Hires upscaler": "hr_upscaler",
    "Hires steps": "hr_second_pass_steps",
    "Hires resize-1": "hr_resize_x",
    "Hires resize-2": "hr_resize_y",
    "Hires sampler": "hr_sampler_name",
    "Hires schedule type": "hr_scheduler",
    "Hires checkpoint": "hr_checkpoint_name",
    "Hires prompt": "hr_prompt",
    "Hires negative prompt": "hr_negative_prompt",
    "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at",
}
_CLIP_SKIP = "CLIP_stop_at_last_layers"


def read_infotext(text: str) -> dict[str, Any]:
    """What a text says, by SD Web UI's names: `Prompt`, `Negative prompt`, and the last line's values as text.

    A size is in two: `Size-1` and `Size-2`.
    """
    lines = text[:_LONGEST].strip().split("\n")
    found = _values(lines[-1])
    if len(found) < _FEWEST_VALUES:
        found = {}
    else:
        lines.pop()
    place = next((number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    negative = "\n".join(lines[place:]).removeprefix(_NEGATIVE).strip()
    return {**found, "Prompt": "\n".join(lines[:place]).strip(), "Negative prompt": negative}


def with_infotext(body: B) -> B:
    """The request with what its `infotext` says; its own fields win, as in SD Web UI.

    Image-to-image takes steps, sampler, seed and clip skip of it, as in SD Web UI. Raises `InvalidRequest` for values
    that do not fit.
    """
    if not body.infotext:
        return body
    said = read_infotext(body.infotext)
    fields = _FIELDS_OF_TEXT_TO_IMAGE if isinstance(body, TextToImageBody) else _FIELDS
    values = {field: said[name] for name, field in fields.items() if said.get(name) not in (None, "")}
    if isinstance(body, TextToImageBody) and "denoising_strength" in values:
        values["enable_hr"] = any(name in said for name in ("Hires upscale", "Hires upscaler", "Hires resize-1"))
    wanted = {field: value for field, value in values.items() if field not in body.model_fields_set}
    try:
        fitting = type(body).model_validate(wanted)
        overrides = _with_clip_skip(body.override_settings, said.get("Clip skip"))
    except (ValidationError, ValueError) as error:
        raise InvalidRequest([Fault("infotext", _reason(error))]) from None
    return body.model_copy(
        update={"override_settings": overrides, **{field: getattr(fitting, field) for field in wanted}}
    )


def named_model(body: GenerationBody) -> str | None:
    """The model that a request's infotext names; it is not switched to, as in SD Web UI."""
    model = read_infotext(body.infotext).get("Model") if body.infotext else None
    return str(model) if model else None


def _with_clip_skip(overrides: dict[str, Any] | None, said: str | None) -> dict[str, Any] | None:
    if said is None or _CLIP_SKIP in (overrides or {}):
        return overrides
    return {**(overrides or {}), _CLIP_SKIP: int(said)}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()[:5])
    return "Clip skip: is no whole number"


def _values(line: str) -> dict[str, str]:
    """`Steps: 20, Sampler: Euler a, …`; a value with a comma or a colon is in quotes, as JSON."""
    found: dict[str, str] = {}
    place = 0
    while (colon := line.find(":", place)) >= 0:
        name = line[place:colon].rpartition(",")[2].strip()
        start = colon + 1
        while line[start : start + 1] == " ":
            start += 1
        end = _end_of_quoted(line, start) if line[start : start + 1] == '"' else line.find(",", start)
        end = len(line) if end < 0 else end
        value = _unquoted(line[start:end].strip())
        if name and name[0].isalnum():
            size = _SIZE.fullmatch(value)
            if size is not None:
                found[f"{name}-1"], found[f"{name}-2"] = size.groups()
            else:
                found[name] = value
        comma = line.find(",", end)
        place = len(line) if comma < 0 else comma + 1
    return found


def _end_of_quoted(line: str, start: int) -> int:
    place = start + 1
    while place < len(line) and line[place] != '"':
        place += 2 if line[place] == "\\" else 1
    return min(place + 1, len(line))


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
