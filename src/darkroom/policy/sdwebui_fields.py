"""The fields of SD Web UI's requests, by task type: the one table that doors and the built-in runtime go by.

Names and types are those of its OpenAPI document (version 1.10.1), and so are the bounds where the document has some.
Elsewhere it tries whatever it is asked, and fails in the middle or allocates for minutes: there the bounds are those of
the sliders in its own user interface, and a runtime can raise them (`ContentLimits`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.policy.field_rules import (
    Anything,
    FieldRule,
    Fields,
    Flag,
    JsonObjectRule,
    Known,
    ListOf,
    Number,
    OneOf,
    Picture,
    Text,
)
from darkroom.tasks.task import TaskKind


class ContentLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How much one request may ask of a runtime: sampling steps, pixels a side, pictures at once, rounds of them."""

    max_steps: int = 150
    max_side: int = 2048
    max_batch_size: int = 16
    max_rounds: int = 100


SMALLEST_SIDE = 8  # a picture of one latent
LARGEST_SEED = 2**64 - 1  # torch's generators take no larger one
MOST_UPSCALED = 8.0
LARGEST_UPSCALED_SIDE = 16_384
MOST_PICTURES_IN = 64  # in one extra-batch-images
LONGEST_HR_SCALE = 8.0

SAMPLERS = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM",
)  # fmt: skip
# Before 1.9 the schedule was a part of the sampler's name, and still may be.
_SCHEDULES_IN_NAMES = ("Karras", "Exponential")
SCHEDULERS = (
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple", "Normal", "DDIM", "Beta",
    "automatic", "uniform", "karras", "exponential", "polyexponential", "sgm_uniform", "kl_optimal", "align_your_steps",
    "simple", "normal", "ddim", "beta",
)  # fmt: skip

_PART = Number(minimum=0, maximum=1)
_SIDE = Number(minimum=SMALLEST_SIDE, limit="max_side", whole=True, multiple_of=8)
_SEED = Number(minimum=-(2**63), maximum=LARGEST_SEED, whole=True, nullable=True)
_ANY_NUMBER = Number(nullable=True)
_SAMPLER = Known(
    (*SAMPLERS, *(f"{sampler} {schedule}" for sampler in SAMPLERS for schedule in _SCHEDULES_IN_NAMES)), "sampler"
)
_SCHEDULER = Known(SCHEDULERS, "scheduler")

# What the guide's own samples and agents put beside SD Web UI's fields.
_ROUTING: Mapping[str, FieldRule] = {"s3_output_path": Anything()}

_GENERATION: Mapping[str, FieldRule] = {
    **_ROUTING,
    "prompt": Text(),
    "negative_prompt": Text(),
    "styles": ListOf(Text(nullable=True), nullable=True),
    "seed": _SEED,
    "subseed": _SEED,
    "subseed_strength": Number(),
    "seed_resize_from_h": Number(whole=True),
    "seed_resize_from_w": Number(whole=True),
    "sampler_name": _SAMPLER,
    "scheduler": _SCHEDULER,
    "batch_size": Number(minimum=1, limit="max_batch_size", whole=True),
    "n_iter": Number(minimum=1, limit="max_rounds", whole=True),
    "steps": Number(minimum=1, limit="max_steps", whole=True),
    "cfg_scale": Number(),
    "width": _SIDE,
    "height": _SIDE,
    "restore_faces": Flag(),
    "tiling": Flag(),
    "do_not_save_samples": Flag(),
    "do_not_save_grid": Flag(),
    "eta": _ANY_NUMBER,
    "s_min_uncond": _ANY_NUMBER,
    "s_churn": _ANY_NUMBER,
    "s_tmax": _ANY_NUMBER,
    "s_tmin": _ANY_NUMBER,
    "s_noise": _ANY_NUMBER,
    "override_settings": JsonObjectRule(nullable=True),
    "override_settings_restore_afterwards": Flag(),
    "refiner_checkpoint": Text(nullable=True),
    "refiner_switch_at": _ANY_NUMBER,
    "disable_extra_networks": Flag(),
    "firstpass_image": Text(nullable=True),
    "comments": JsonObjectRule(nullable=True),
    "force_task_id": Text(nullable=True),
    "sampler_index": _SAMPLER,
    "script_name": Text(nullable=True),
    "script_args": ListOf(),
    "send_images": Flag(),
    "save_images": Flag(),
    "alwayson_scripts": Anything(),  # judged by itself: `darkroom.policy.content`
    "infotext": Text(nullable=True),
}

_TEXT_TO_IMAGE: Mapping[str, FieldRule] = {
    **_GENERATION,
    "denoising_strength": Number(minimum=0, maximum=1, nullable=True),
    "enable_hr": Flag(),
    "firstphase_width": Number(minimum=0, whole=True),
    "firstphase_height": Number(minimum=0, whole=True),
    "hr_scale": Number(above=0, maximum=LONGEST_HR_SCALE),
    "hr_upscaler": Text(nullable=True),
    "hr_second_pass_steps": Number(minimum=0, limit="max_steps", whole=True),
    "hr_resize_x": Number(minimum=0, whole=True),
    "hr_resize_y": Number(minimum=0, whole=True),
    "hr_checkpoint_name": Text(nullable=True),
    "hr_sampler_name": Text(nullable=True),
    "hr_scheduler": Text(nullable=True),
    "hr_prompt": Text(),
    "hr_negative_prompt": Text(),
}

_IMAGE_TO_IMAGE: Mapping[str, FieldRule] = {
    **_GENERATION,
    "denoising_strength": _PART,
    "init_images": ListOf(Picture(), least=1, most=MOST_PICTURES_IN),
    "resize_mode": OneOf((0, 1, 2, 3), nullable=True),
    "image_cfg_scale": _ANY_NUMBER,
    "mask": Picture(nullable=True),
    "mask_blur_x": Number(whole=True),
    "mask_blur_y": Number(whole=True),
    "mask_blur": Number(whole=True, nullable=True),
    "mask_round": Flag(),
    "inpainting_fill": OneOf((0, 1, 2, 3)),
    "inpaint_full_res": Flag(),
    "inpaint_full_res_padding": Number(whole=True),
    "inpainting_mask_invert": OneOf((0, 1)),
    "initial_noise_multiplier": _ANY_NUMBER,
    "latent_mask": Text(nullable=True),
    "include_init_images": Flag(),
}

_EXTRAS: Mapping[str, FieldRule] = {
    "resize_mode": OneOf((0, 1), strict=True),
    "show_extras_results": Flag(),
    "gfpgan_visibility": _PART,
    "codeformer_visibility": _PART,
    "codeformer_weight": _PART,
    "upscaling_resize": Number(above=0, maximum=MOST_UPSCALED),
    "upscaling_resize_w": Number(minimum=1, maximum=LARGEST_UPSCALED_SIDE, whole=True),
    "upscaling_resize_h": Number(minimum=1, maximum=LARGEST_UPSCALED_SIDE, whole=True),
    "upscaling_crop": Flag(),
    "upscaler_1": Text(),
    "upscaler_2": Text(),
    "extras_upscaler_2_visibility": _PART,
    "upscale_first": Flag(),
    # The guide's agents took models from here for every task type.
    "alwayson_scripts": Anything(),
}

_NAMED_PICTURE = Fields({"data": Picture(), "name": Text()}, required=("data", "name"))

FIELDS: Mapping[TaskKind, Fields] = {
    TaskKind.TEXT_TO_IMAGE: Fields(_TEXT_TO_IMAGE),
    TaskKind.IMAGE_TO_IMAGE: Fields(_IMAGE_TO_IMAGE, required=("init_images",)),
    TaskKind.EXTRA_SINGLE_IMAGE: Fields({**_EXTRAS, "image": Picture()}, required=("image",)),
    TaskKind.EXTRA_BATCH_IMAGES: Fields(
        {**_EXTRAS, "imageList": ListOf(_NAMED_PICTURE, least=1, most=MOST_PICTURES_IN)}, required=("imageList",)
    ),
}
