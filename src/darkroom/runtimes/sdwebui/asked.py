"""What of a request can be compared with what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from darkroom.runtimes.protocol import GenerationRequest
from darkroom.tasks.task import JsonObject, TaskKind

_MASK_OPTIONS = ("return_mask", "return_mask_composite")


@dataclass(frozen=True)
class Asked:
    """`size` is that of a picture in pixels, None where it follows from something else than the request's own words.

    `upscalers` are those that enlarge it.
    `pictures_per_seed` counts the masks that were asked for along with each picture.
    """

    sampler: str | None = None
    scheduler: str | None = None
    script: str | None = None
    size: tuple[int, int] | None = None
    upscalers: tuple[str, ...] = ()
    pictures_per_seed: int = 1


def read_asked(request: GenerationRequest) -> Asked:
    """What `request` asks for, as far as its answer can be held against it."""
    content = request.content
    if request.kind not in (TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE):
        return Asked(upscalers=_names(content, "upscaler_1", "upscaler_2"))
    overrides = content.get("override_settings")
    masks = sum(bool(overrides.get(name)) for name in _MASK_OPTIONS) if isinstance(overrides, dict) else 0
    return Asked(
        sampler=_text(content, "sampler_name") or _text(content, "sampler_index"),
        scheduler=_text(content, "scheduler"),
        script=_text(content, "script_name"),
        size=_size(content),
        upscalers=_names(content, "hr_upscaler") if content.get("enable_hr") else (),
        pictures_per_seed=1 + masks if content.get("mask") else 1,
    )


def _size(content: JsonObject) -> tuple[int, int] | None:
    width, height = _number(content, "width"), _number(content, "height")
    if width is None or height is None or _text(content, "script_name") or content.get("inpaint_full_res"):
        return None
    if not content.get("enable_hr"):
        return width, height
    if any(_number(content, name) for name in ("hr_resize_x", "hr_resize_y")):
        return None  # one of the two may be left out, and a script of the server's own fills it in
    scale = content.get("hr_scale", 2.0)
    if not isinstance(scale, int | float):
        return None
    return int(width * scale), int(height * scale)


def _text(content: JsonObject, name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) and value else None


def _names(content: JsonObject, *fields: str) -> tuple[str, ...]:
    names = (_text(content, field) for field in fields)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _number(content: JsonObject, name: str) -> int | None:
    value: Any = content.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
