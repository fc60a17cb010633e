"""What can be asked for: functions that make a `TaskRequest`, one for each kind of task."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from darkroom.tasks.task import JsonObject, TaskKind

# A link (http, https, s3), the bytes of a picture, or the path of a file that holds one.
PictureSource = str | bytes | Path


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the form of v1alpha2. `id` is made up where none is given; `content` is the runtime's own request.

    `context` is your own data, returned with the result; `timeout_seconds` bounds the generation alone.
    """

    runtime: str
    kind: TaskKind
    content: JsonObject
    id: str = msgspec.field(default_factory=lambda: new_task_id())
    prefix: str = "output"
    context: Any = ""
    timeout_seconds: float | None = None

    def to_document(self) -> JsonObject:
        """The body to send."""
        metadata: JsonObject = {
            "id": self.id,
            "runtime": self.runtime,
            "tasktype": self.kind.value,
            "prefix": self.prefix,
            "context": self.context,
        }
        if self.timeout_seconds is not None:
            metadata["timeout"] = self.timeout_seconds
        return {"task": {"metadata": metadata, "content": self.content}}


def new_task_id() -> str:
    """A random id: two tasks never share one by accident."""
    return f"task-{uuid.uuid4().hex[:16]}"


def text_to_image(
    prompt: str,
    *,
    runtime: str,
    negative_prompt: str = "",
    width: int = 512,
    height: int = 512,
    steps: int = 20,
    seed: int = -1,
    count: int = 1,
    **options: Any,
) -> TaskRequest:
    """A picture from a prompt, by SD Web UI's txt2img.

    `seed` -1 is a random one; `count` pictures are made. `options` are further fields of SD Web UI's own request
    (`cfg_scale`, `sampler_name`, `alwayson_scripts` ...), and `id`, `prefix`, `context`, `timeout_seconds`.
    """
    content = {
        "alwayson_scripts": {},
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "width": width,
        "height": height,
        "steps": steps,
        "seed": seed,
        "batch_size": count,
    }
    return _request(runtime, TaskKind.TEXT_TO_IMAGE, content, options)


def image_to_image(
    prompt: str,
    picture: PictureSource | Sequence[PictureSource],
    *,
    runtime: str,
    strength: float = 0.75,
    negative_prompt: str = "",
    width: int = 512,
    height: int = 512,
    steps: int = 20,
    seed: int = -1,
    count: int = 1,
    **options: Any,
) -> TaskRequest:
    """A picture from a prompt and a picture (or several), by SD Web UI's img2img.

    `strength` from 0 to 1 says how far the result may go from `picture`. The rest is as in `text_to_image`.
    """
    pictures = [picture] if isinstance(picture, str | bytes | Path) else list(picture)
    content = {
        "alwayson_scripts": {},
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "init_images": [_inline(one) for one in pictures],
        "denoising_strength": strength,
        "width": width,
        "height": height,
        "steps": steps,
        "seed": seed,
        "batch_size": count,
    }
    return _request(runtime, TaskKind.IMAGE_TO_IMAGE, content, options)


def upscale(
    picture: PictureSource, *, runtime: str, factor: float = 4, upscaler: str = "R-ESRGAN 4x+", **options: Any
) -> TaskRequest:
    """A larger picture, by SD Web UI's extra-single-image. `options` are as in `text_to_image`."""
    content = {
        "resize_mode": 0,
        "upscaling_resize": factor,
        "upscaler_1": upscaler,
        "upscaler_2": "None",
        "image": _inline(picture),
    }
    return _request(runtime, TaskKind.EXTRA_SINGLE_IMAGE, content, options)


def pipeline(workflow: JsonObject, *, runtime: str, **options: Any) -> TaskRequest:
    """What a ComfyUI workflow makes; `workflow` is the file that ComfyUI saves as "API format".

    `options` are `id`, `prefix`, `context` and `timeout_seconds`.
    """
    return _request(runtime, TaskKind.PIPELINE, workflow, options)


def _request(runtime: str, kind: TaskKind, content: JsonObject, options: JsonObject) -> TaskRequest:
    metadata = {name: options[name] for name in ("id", "prefix", "context", "timeout_seconds") if name in options}
    own = {name: value for name, value in options.items() if name not in metadata}
    return TaskRequest(runtime=runtime, kind=kind, content={**content, **own}, **metadata)


def _inline(picture: PictureSource) -> str:
    if isinstance(picture, Path):
        picture = picture.read_bytes()
    return base64.b64encode(picture).decode() if isinstance(picture, bytes) else picture
