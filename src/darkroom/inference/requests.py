"""The bodies that SD Web UI's API takes, with its field names and defaults (its OpenAPI document, version 1.10.1).

Bounds are ours: SD Web UI tries whatever it is asked, and fails in the middle.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from darkroom.inference.limits import (
    MAX_BASE64,
    MAX_BATCH,
    MAX_LIST,
    MAX_ROUNDS,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MAX_TEXT,
    MIN_SEED,
)
from darkroom.policy.sdwebui_fields import LARGEST_UPSCALED_SIDE, LONGEST_HR_SCALE, MOST_UPSCALED

Text = Annotated[str, Field(max_length=MAX_TEXT)]
#: A fraction is cut off, as SD Web UI does.
Whole = Annotated[int, BeforeValidator(lambda number: _whole(number))]
Picture = Annotated[str, Field(max_length=MAX_BASE64)]
#: -1 asks for any. Generators take 64 bits, and every one of them counts.
Seed = Annotated[int, Field(ge=MIN_SEED, le=MAX_SEED), BeforeValidator(lambda number: _whole(number))]
Part = Annotated[float, Field(ge=0, le=1)]
#: An empty name is none.
UpscalerName = Annotated[Text, AfterValidator(lambda name: name.strip() or "None")]


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, float) and math.isfinite(number) else number


class Body(BaseModel):
    """Unknown fields are ignored and numbers may stand for text, as SD Web UI has it. A null is a field left out."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return (
            {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values
        )


class GenerationBody(Body):
    """What text-to-image and image-to-image share."""

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: list[Text] | None = None
    seed: Seed = -1
    subseed: Seed = -1
    subseed_strength: Part = 0
    seed_resize_from_h: Whole = -1
    seed_resize_from_w: Whole = -1
    sampler_name: Text | None = None
    scheduler: Text | None = None
    batch_size: Whole = Field(1, ge=1, le=MAX_BATCH)
    n_iter: Whole = Field(1, ge=1, le=MAX_ROUNDS)
    steps: Whole = Field(50, ge=1, le=MAX_STEPS)
    cfg_scale: float = Field(7.0, ge=0, le=100)
    width: Whole = Field(512, ge=8, le=MAX_SIDE)
    height: Whole = Field(512, ge=8, le=MAX_SIDE)
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = Field(None, ge=0, le=1)
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Text | None = None
    refiner_switch_at: Part | None = None
    disable_extra_networks: bool = False
    firstpass_image: Picture | None = None
    comments: dict[str, Any] | None = None
    force_task_id: Text | None = None
    sampler_index: Text | None = "Euler"
    script_name: Text | None = None
    script_args: list[Any] = Field(default_factory=list, max_length=MAX_LIST)
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[str, Any] | list[Any] = Field(default_factory=dict)
    infotext: Text | None = None


class TextToImageBody(GenerationBody):
    """`POST /sdapi/v1/txt2img`."""

    denoising_strength: Part | None = None
    enable_hr: bool = False
    firstphase_width: Whole = Field(0, ge=0, le=MAX_SIDE)
    firstphase_height: Whole = Field(0, ge=0, le=MAX_SIDE)
    hr_scale: float = Field(2.0, gt=0, le=LONGEST_HR_SCALE)
    hr_upscaler: Text | None = None
    hr_second_pass_steps: Whole = Field(0, ge=0, le=MAX_STEPS)
    hr_resize_x: Whole = Field(0, ge=0, le=MAX_SIDE)
    hr_resize_y: Whole = Field(0, ge=0, le=MAX_SIDE)
    hr_checkpoint_name: Text | None = None
    hr_sampler_name: Text | None = None
    hr_scheduler: Text | None = None
    hr_prompt: Text = ""
    hr_negative_prompt: Text = ""


class ImageToImageBody(GenerationBody):
    """`POST /sdapi/v1/img2img`."""

    denoising_strength: Part = 0.75
    init_images: list[Picture | None] | None = Field(None, max_length=MAX_LIST)
    resize_mode: Literal[0, 1, 2, 3] = 0
    image_cfg_scale: float | None = None
    mask: Picture | None = None
    mask_blur_x: Whole = Field(4, ge=0, le=256)
    mask_blur_y: Whole = Field(4, ge=0, le=256)
    mask_blur: Whole | None = Field(None, ge=0, le=256)
    mask_round: bool = True
    inpainting_fill: Literal[0, 1, 2, 3] = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: Whole = Field(0, ge=0, le=1024)
    inpainting_mask_invert: Literal[0, 1] = 0
    initial_noise_multiplier: float | None = None
    latent_mask: Picture | None = None
    include_init_images: bool = False


class ExtrasBody(Body):
    """What upscaling one picture and upscaling many share."""

    resize_mode: Literal[0, 1] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Part = 0
    codeformer_visibility: Part = 0
    codeformer_weight: Part = 0
    upscaling_resize: float = Field(2, gt=0, le=MOST_UPSCALED)
    upscaling_resize_w: Whole = Field(512, ge=1, le=LARGEST_UPSCALED_SIDE)
    upscaling_resize_h: Whole = Field(512, ge=1, le=LARGEST_UPSCALED_SIDE)
    upscaling_crop: bool = True
    upscaler_1: UpscalerName = "None"
    upscaler_2: UpscalerName = "None"
    extras_upscaler_2_visibility: Part = 0
    upscale_first: bool = False


class ExtraSingleBody(ExtrasBody):
    """`POST /sdapi/v1/extra-single-image`."""

    image: Picture = ""


class NamedPicture(Body):
    """One picture of a batch."""

    data: Picture
    name: Text


class ExtraBatchBody(ExtrasBody):
    """`POST /sdapi/v1/extra-batch-images`."""

    imageList: list[NamedPicture] = Field(max_length=MAX_LIST)  # noqa: N815 - SD Web UI's name


class PngInfoBody(Body):
    """`POST /sdapi/v1/png-info`."""

    image: Picture
