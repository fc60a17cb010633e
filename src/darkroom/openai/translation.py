"""From a request of OpenAI's API to a task of ours, for each type of runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from darkroom.errors import Fault
from darkroom.openai.input_pictures import Upload, facts_of_pictures, find_mask, upload_of
from darkroom.openai.models import COMFYUI, Target
from darkroom.openai.options import PICTURE_SLOTS, Slot, Template
from darkroom.openai.picture_facts import PictureFacts
from darkroom.openai.request import BadRequest, ImageRequest
from darkroom.policy.catalogue import DIFFUSERS
from darkroom.tasks.draft import Draft
from darkroom.tasks.task import JsonObject, TaskKind

# Where the pictures of this API's tasks lie, and what their ids begin with.
PREFIX = "openai"
ID_PREFIX = "img-"
_DIGEST_CHARACTERS = 32
_LEAST_SIDE = 64
# Runtimes draw in latents of 8 x 8 pixels.
_SIDE_STEP = 8
# How much of a picture is made anew where nobody says: of a masked part nearly everything, or nothing would change.
_STRENGTH, _MASKED_STRENGTH = 0.75, 0.9
_CROP, _KEEP_WHAT_WAS = 1, 1  # of SD Web UI's `resize_mode` and `inpainting_fill`
# Where the caller wrote what stands in SD Web UI's fields.
_PATHS = {
    "id": "id", "runtime": "model", "kind": "model", "prefix": "prefix", "content": "", "timeout_seconds": "timeout",
    "content.width": "size", "content.height": "size", "content.batch_size": "n", "content.n_iter": "n",
    "content.cfg_scale": "guidance_scale", "content.denoising_strength": "strength", "content.init_images": "image",
    "content.mask": "mask", "content.override_settings": "output_format", "content.prompt": "prompt",
    "content.negative_prompt": "negative_prompt", "content.steps": "steps", "content.seed": "seed",
}  # fmt: skip


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What will be told of the pictures, kept with the task as its context.

    `seed` is the first picture's; `seeds_count` says that each further one has the next. `size` is None where only the
    runtime knows.
    """

    model: str
    n: int
    seed: int
    seeds_count: bool
    size: tuple[int, int] | None = None
    quality: str = "auto"
    warnings: tuple[Fault, ...] = ()


class Translation(msgspec.Struct, frozen=True):
    """A task, the pictures that it begins with, and what is to be told of those that it makes."""

    draft: Draft
    uploads: tuple[Upload, ...]
    made: Made


def task_id_of(request: ImageRequest) -> str:
    """The id of its task: the same for the same request, so that one that is sent again finds what it began."""
    return f"{ID_PREFIX}{request.digest()[:_DIGEST_CHARACTERS]}"


def translate(
    request: ImageRequest, target: Target, bucket: str, caller: str, new_seed: Callable[[], int]
) -> Translation | BadRequest:
    """Make a task of a request. Pictures that it begins with are to be put into `bucket`, from 0 on as `uploads` say.

    `new_seed` gives a seed where the request has none: so a workflow is never answered from a cache, and the reply can
    say what was drawn from.
    """
    facts, faults = facts_of_pictures(request)
    mask, mask_faults = find_mask(request, facts)
    size = request.size or (_size_like(facts[0], target) if facts else target.options.size)
    faults = [*faults, *mask_faults, *_bad_size(size if request.size else None, target)]
    if faults:
        return BadRequest(tuple(faults))
    uploads = tuple(upload_of(picture, fact, caller) for picture, fact in zip(request.pictures, facts, strict=True))
    mask_upload = None if mask is None else upload_of(mask, PictureFacts("png", 1, 1), caller)
    links = [f"s3://{bucket}/{upload.key}" for upload in uploads]
    mask_link = None if mask_upload is None else f"s3://{bucket}/{mask_upload.key}"
    seed = new_seed() if request.seed is None else request.seed
    wanted = _Wanted(request, target, seed, size, links, mask_link)
    is_workflow = target.runtime.type == COMFYUI
    content = _workflow(wanted) if is_workflow else _sdwebui(wanted)
    if isinstance(content, BadRequest):
        return content
    kind = TaskKind.IMAGE_TO_IMAGE if request.kind == "edit" else TaskKind.TEXT_TO_IMAGE
    made = Made(
        model=target.model,
        n=request.n,
        seed=seed,
        seeds_count=not is_workflow,
        size=size,
        quality=request.quality,
        warnings=(*request.warnings, *_warnings(request, target)),
    )
    draft = Draft(
        paths=_PATHS,
        id=task_id_of(request),
        runtime=target.runtime.name,
        kind=TaskKind.PIPELINE if is_workflow else kind,
        prefix=PREFIX,
        content=content,
        context={PREFIX: msgspec.to_builtins(made)},
    )
    return Translation(draft, uploads if mask_upload is None else (*uploads, mask_upload), made)


class _Wanted(msgspec.Struct, frozen=True):
    request: ImageRequest
    target: Target
    seed: int
    size: tuple[int, int] | None
    pictures: list[str]
    mask: str | None

    @property
    def steps(self) -> int | None:
        quality = self.target.options.steps_of(self.request.quality)
        if self.request.steps is not None or quality is None:
            return self.request.steps
        return min(quality, self.target.runtime.limits.max_steps)


def _sdwebui(wanted: _Wanted) -> JsonObject | BadRequest:
    request, target = wanted.request, wanted.target
    if len(wanted.pictures) > 1:
        reason = f"is there {len(wanted.pictures)} times, and {target.runtime.name!r} begins with one picture"
        return BadRequest((Fault("image", reason),))
    rounds, at_once = _rounds(request.n, target.runtime.limits.max_batch_size)
    content: JsonObject = {
        "prompt": request.prompt,
        "seed": wanted.seed,
        "steps": wanted.steps,
        "batch_size": at_once,
        "n_iter": rounds,
    }
    if request.negative_prompt is not None:
        content["negative_prompt"] = request.negative_prompt
    if request.guidance is not None:
        content["cfg_scale"] = request.guidance
    if wanted.size is not None:
        content["width"], content["height"] = wanted.size
    if target.checkpoint is not None:
        content["alwayson_scripts"] = {"sd_model_checkpoint": target.checkpoint}
    if _chooses_format(target) and request.output_format is not None:
        content["override_settings"] = _format_options(request)
    if wanted.pictures:
        strength = _STRENGTH if wanted.mask is None else _MASKED_STRENGTH
        content |= {
            "init_images": wanted.pictures,
            "denoising_strength": strength if request.strength is None else request.strength,
            "resize_mode": _CROP,
        }
    if wanted.mask is not None:
        # SD Web UI takes the opaque part of a mask for what is to change, OpenAI the transparent one.
        content |= {
            "mask": wanted.mask,
            "inpainting_mask_invert": 1,
            "inpainting_fill": _KEEP_WHAT_WAS,
            "inpaint_full_res": False,
        }
    return content


def _workflow(wanted: _Wanted) -> JsonObject | BadRequest:
    request, target = wanted.request, wanted.target
    template = target.options.template(request.kind)
    if template is None:
        raise AssertionError("a runtime without a workflow is not chosen")
    width, height = wanted.size or (None, None)
    values: dict[Slot, Any] = {
        "prompt": request.prompt,
        "negativePrompt": request.negative_prompt,
        "width": width,
        "height": height,
        "n": request.n,
        "seed": wanted.seed,
        "steps": wanted.steps,
        "guidance": request.guidance,
        "strength": request.strength,
        "checkpoint": target.checkpoint,
        "mask": wanted.mask,
        **dict(zip(PICTURE_SLOTS, wanted.pictures, strict=False)),
    }
    asked: dict[str, tuple[Slot, Any]] = {
        "negative_prompt": ("negativePrompt", request.negative_prompt),
        "size": ("width", request.size),
        "n": ("n", request.n if request.n > 1 else None),
        "seed": ("seed", request.seed),
        "steps": ("steps", request.steps),
        "guidance_scale": ("guidance", request.guidance),
        "strength": ("strength", request.strength),
        "model": ("checkpoint", target.checkpoint),
        "mask": ("mask", wanted.mask),
    }
    faults = [*_placeless(asked, template), *_too_many_pictures(wanted, template)]
    limit = target.runtime.limits.max_steps
    if request.steps is not None and request.steps > limit:
        faults.append(Fault("steps", f"must be a whole number from 1 to {limit}, not {request.steps}"))
    if faults:
        return BadRequest(tuple(faults))
    return template.filled({slot: value for slot, value in values.items() if value is not None})


def _placeless(asked: Mapping[str, tuple[Slot, Any]], template: Template) -> Iterator[Fault]:
    for parameter, (slot, value) in asked.items():
        if value is not None and not template.has(slot):
            yield Fault(parameter, "cannot be chosen for this model: its workflow has no place for it")


def _too_many_pictures(wanted: _Wanted, template: Template) -> Iterator[Fault]:
    places = sum(template.has(slot) for slot in PICTURE_SLOTS)
    if len(wanted.pictures) > places:
        reason = f"is there {len(wanted.pictures)} times, and this model's workflow has places for {places}"
        yield Fault("image", reason)


def _bad_size(size: tuple[int, int] | None, target: Target) -> Iterator[Fault]:
    most = target.runtime.limits.max_side
    if size is None:
        return
    if min(size) < _LEAST_SIDE or max(size) > most:
        yield Fault("size", f"must have sides from {_LEAST_SIDE} to {most} pixels for this model, not {_said(size)}")
    elif any(side % _SIDE_STEP for side in size):
        yield Fault("size", f"must have sides that are multiples of {_SIDE_STEP} pixels, not {_said(size)}")


def _size_like(facts: PictureFacts, target: Target) -> tuple[int, int]:
    """The picture's own size, as far as the runtime can draw it."""
    shrink = min(1.0, target.runtime.limits.max_side / max(facts.width, facts.height))
    width, height = (int(side * shrink) // _SIDE_STEP * _SIDE_STEP for side in (facts.width, facts.height))
    return max(width, _LEAST_SIDE), max(height, _LEAST_SIDE)


def _rounds(pictures: int, most_at_once: int) -> tuple[int, int]:
    """So many rounds of so many pictures each."""
    at_once = next(count for count in range(min(pictures, most_at_once), 0, -1) if pictures % count == 0)
    return pictures // at_once, at_once


def _chooses_format(target: Target) -> bool:
    """Whether a request can choose the pictures' format.

    SD Web UI takes it as an option of the server, which changes nothing for this request or stays for those of others.
    """
    return target.runtime.type == DIFFUSERS


def _format_options(request: ImageRequest) -> JsonObject:
    options: JsonObject = {"samples_format": {"jpeg": "jpg"}.get(str(request.output_format), request.output_format)}
    if request.output_compression is not None and request.output_format != "png":
        options["jpeg_quality"] = max(request.output_compression, 1)
    return options


def _warnings(request: ImageRequest, target: Target) -> Iterator[Fault]:
    for name, value in (("output_format", request.output_format), ("output_compression", request.output_compression)):
        if value is not None and not _chooses_format(target):
            yield Fault(name, f"is {target.runtime.name!r}'s own: its pictures are handed on as they are")


def _said(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
