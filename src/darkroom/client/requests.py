"""What can be asked for: functions that make a `TaskRequest`, one for each kind of task."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from darkroom.client.inputs import PictureSource, inline, inline_all
from darkroom.tasks.task import JsonObject, TaskKind

# Every SD Web UI has this upscaler, and Darkroom's own runtime too; the others need weights that may not be there.
_DEFAULT_UPSCALER = "Lanczos"
_METADATA = ("id", "prefix", "context", "timeout_seconds", "deadline", "on_duplicate", "priority", "webhook")


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the form of v1alpha2. `id` is made up where none is given; `content` is the runtime's own request.

    `context` is your own data, returned with the result; `timeout_seconds` bounds the generation alone. Not begun by
    `deadline`, the task expires. `on_duplicate` says what is done where the id is taken; `webhook`, who is told. One
    of low `priority` waits for the others.
    """

    runtime: str
    kind: TaskKind
    content: JsonObject
    id: str = msgspec.field(default_factory=lambda: new_task_id())
    prefix: str = "output"
    context: Any = ""
    timeout_seconds: float | None = None
    deadline: datetime | float | str | None = None
    on_duplicate: Literal["return", "new", "refuse"] = "new"
    priority: Literal["low", "normal"] = "normal"
    webhook: JsonObject | None = None

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
        if self.deadline is not None:
            metadata["deadline"] = self.deadline.timestamp() if isinstance(self.deadline, datetime) else self.deadline
        if self.on_duplicate != "new":
            metadata["on_duplicate"] = self.on_duplicate
        if self.priority != "normal":
            metadata["priority"] = self.priority
        if self.webhook is not None:
            metadata["webhook"] = self.webhook
        return {"task": {"metadata": metadata, "content": self.content}}


def new_task_id() -> str:
    """A random id: two tasks never share one by accident."""
    return f"task-{uuid.uuid4().hex[:16]}"


class TaskOptions(TypedDict, total=False):
    """What every request may say of its task; see `TaskRequest`."""

    id: str
    prefix: str
    context: Any
    timeout_seconds: float
    deadline: datetime | float | str
    on_duplicate: Literal["return", "new", "refuse"]
    priority: Literal["low", "normal"]
    webhook: JsonObject


class PictureOptions(TaskOptions, total=False):
    """Fields of SD Web UI's own requests that are often used, by its names."""

    sampler_name: str
    scheduler: str
    cfg_scale: float
    n_iter: int
    subseed: int
    subseed_strength: float
    styles: list[str]
    restore_faces: bool
    tiling: bool
    enable_hr: bool
    hr_scale: float
    hr_upscaler: str
    hr_second_pass_steps: int
    denoising_strength: float
    mask: str
    mask_blur: int
    inpainting_fill: int
    inpaint_full_res: bool
    override_settings: JsonObject
    alwayson_scripts: JsonObject


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
    extra: JsonObject | None = None,
    **options: Unpack[PictureOptions],
) -> TaskRequest:
    """A picture from a prompt, by SD Web UI's txt2img.

    `seed` -1 is a random one; `count` pictures are made. `options` are further fields of SD Web UI's own request
    (`cfg_scale`, `sampler_name`, `alwayson_scripts` ...), and `id`, `prefix`, `context`, `timeout_seconds` and the
    others that `TaskRequest` has; `extra` is for fields that have no name here.
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
    return _request(runtime, TaskKind.TEXT_TO_IMAGE, content, {**options, **(extra or {})})


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
    extra: JsonObject | None = None,
    **options: Unpack[PictureOptions],
) -> TaskRequest:
    """A picture from a prompt and a picture (or several), by SD Web UI's img2img.

    A picture is a link, the path of a file, bytes, a file that is open, or one of Pillow's. `strength` from 0 to 1 says
    how far the result may go from it. The rest is as in `text_to_image`.
    """
    content = {
        "alwayson_scripts": {},
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "init_images": inline_all(picture),
        "denoising_strength": strength,
        "width": width,
        "height": height,
        "steps": steps,
        "seed": seed,
        "batch_size": count,
    }
    return _request(runtime, TaskKind.IMAGE_TO_IMAGE, content, {**options, **(extra or {})})


def upscale(
    picture: PictureSource,
    *,
    runtime: str,
    factor: float = 4,
    upscaler: str = _DEFAULT_UPSCALER,
    extra: JsonObject | None = None,
    **options: Unpack[TaskOptions],
) -> TaskRequest:
    """A larger picture, by SD Web UI's extra-single-image.

    `upscaler` is one that the runtime has: without weights that is `Lanczos`, with them say `R-ESRGAN 4x+`. `extra` are
    further fields of SD Web UI's own request; `options` are those of `TaskRequest`.
    """
    content = {
        "resize_mode": 0,
        "upscaling_resize": factor,
        "upscaler_1": upscaler,
        "upscaler_2": "None",
        "image": inline(picture),
    }
    return _request(runtime, TaskKind.EXTRA_SINGLE_IMAGE, content, {**options, **(extra or {})})


def pipeline(workflow: JsonObject, *, runtime: str, **options: Unpack[TaskOptions]) -> TaskRequest:
    """What a ComfyUI workflow makes; `workflow` is the file that ComfyUI saves as "API format".

    `options` are those of `TaskRequest`.
    """
    return _request(runtime, TaskKind.PIPELINE, workflow, {**options})


def _request(runtime: str, kind: TaskKind, content: JsonObject, options: JsonObject) -> TaskRequest:
    metadata = {name: options[name] for name in _METADATA if name in options}
    own = {name: value for name, value in options.items() if name not in metadata}
    return TaskRequest(runtime=runtime, kind=kind, content={**content, **own}, **metadata)
