"""From a request's body to generations: everything is read here, and nothing is made."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.checking import (
    check,
    find_checkpoint,
    find_sampler,
    find_scheduler,
    named,
    same,
    second_size,
    wants_refiner,
)
from darkroom.inference.engine import Checkpoint, Engine, Fill, Generation, Source
from darkroom.inference.inpainting import MaskOptions, Prepared, ResizeMode, prepare
from darkroom.inference.limits import MAX_SEED
from darkroom.inference.options import Options
from darkroom.inference.pictures import opaque
from darkroom.inference.reading import Pictures
from darkroom.inference.requests import GenerationBody, ImageToImageBody, TextToImageBody
from darkroom.inference.shortcomings import shortcomings
from darkroom.inference.upscaling import LATENT_UPSCALERS

#: Seeds that nobody asked for, as SD Web UI draws them.
RANDOM_SEEDS = 2**32 - 2
#: When a refiner takes over, where the request names one and does not say: what SD Web UI's page begins with.
REFINER_SWITCH = 0.8
_EXTRA_NETWORK = re.compile(r"<\w++:[^<>]*+>")


@dataclass(frozen=True, slots=True)
class SecondPass:
    """SD Web UI's "hires. fix": enlarge the first pictures, then redraw part of them.

    `told` is what the infotext says of it.
    """

    width: int
    height: int
    upscaler: str
    steps: int
    strength: float
    sampler: str
    scheduler: str | None
    prompt: str
    negative_prompt: str
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A request, read: its batches, and what to do with the pictures."""

    rounds: tuple[Generation, ...]
    checkpoint: str | None
    options: Options
    prepared: Prepared | None = None
    second: SecondPass | None = None
    grid: bool = False
    warnings: tuple[str, ...] = ()


def plan(body: GenerationBody, pictures: Pictures, engine: Engine, options: Options, chance: random.Random) -> Plan:
    """Read a body. Raises `InvalidRequest` with every fault that can be found, and `NotFound`."""
    overrides = dict(body.override_settings or {})
    checkpoint = overrides.pop("sd_model_checkpoint", None)
    if checkpoint is not None and not isinstance(checkpoint, str):
        raise InvalidRequest([Fault("override_settings.sd_model_checkpoint", "must be a model's name")])
    checkpoint = named(checkpoint)
    if checkpoint is not None:
        find_checkpoint(engine, checkpoint)
    options = options.changed(overrides, "override_settings")
    sampler, scheduler = check(body, engine)
    refiner = find_checkpoint(engine, body.refiner_checkpoint or "") if wants_refiner(body) else None
    width, height = body.width // 8 * 8, body.height // 8 * 8
    prepared, source = (
        _source(body, pictures, width, height, options) if isinstance(body, ImageToImageBody) else (None, None)
    )
    first_seed = body.seed if body.seed != -1 else chance.randrange(RANDOM_SEEDS)
    first_subseed = body.subseed if body.subseed != -1 else chance.randrange(RANDOM_SEEDS)

    prompt, negative_prompt = body.prompt, body.negative_prompt
    if body.disable_extra_networks:
        prompt, negative_prompt = _EXTRA_NETWORK.sub("", prompt), _EXTRA_NETWORK.sub("", negative_prompt)

    def batch(number: int) -> Generation:
        places = range(number * body.batch_size, (number + 1) * body.batch_size)
        vary = body.subseed_strength != 0  # with variations every picture keeps the seed, and the subseeds count up
        return Generation(
            prompts=(prompt,) * body.batch_size,
            negative_prompts=(negative_prompt,) * body.batch_size,
            seeds=tuple(first_seed + (0 if vary else place) for place in places),
            # Without variations subseeds mean nothing: only then may they go on from the smallest.
            subseeds=tuple(
                subseed if (subseed := first_subseed + place) <= MAX_SEED else subseed - 2**64 for place in places
            ),
            subseed_strength=body.subseed_strength,
            width=width,
            height=height,
            steps=body.steps,
            cfg_scale=body.cfg_scale,
            sampler=sampler,
            scheduler=scheduler,
            eta=body.eta,
            clip_skip=options.CLIP_stop_at_last_layers,
            source=source,
            refiner=refiner,
            refiner_switch_at=REFINER_SWITCH if body.refiner_switch_at is None else body.refiner_switch_at,
        )

    rounds = tuple(batch(number) for number in range(body.n_iter))
    model = find_checkpoint(engine, checkpoint) if checkpoint is not None else engine.loaded()
    second = _second_pass(body, rounds[0], engine, model) if _is_hires(body) else None
    return Plan(
        rounds=rounds,
        checkpoint=checkpoint,
        options=options,
        warnings=shortcomings(body, rounds[0], engine, options, model),
        prepared=prepared,
        second=second,
        # SD Web UI returns the grid only when it also saves it.
        grid=body.save_images
        and options.return_grid
        and not body.do_not_save_grid
        and body.batch_size * body.n_iter > 1,
    )


def _source(
    body: ImageToImageBody, pictures: Pictures, width: int, height: int, options: Options
) -> tuple[Prepared, Source]:
    blur_x, blur_y = (body.mask_blur_x, body.mask_blur_y) if body.mask_blur is None else (body.mask_blur,) * 2
    prepared = prepare(
        [opaque(picture.decode(), options.img2img_background_color) for picture in pictures.inits],
        pictures.mask.decode() if pictures.mask is not None else None,
        width,
        height,
        ResizeMode(body.resize_mode),
        MaskOptions(
            blur_x=blur_x,
            blur_y=blur_y,
            round=body.mask_round,
            invert=bool(body.inpainting_mask_invert),
            full_resolution=body.inpaint_full_res,
            padding=body.inpaint_full_res_padding,
            fill=Fill(body.inpainting_fill),
        ),
    )
    return prepared, Source(prepared.images, body.denoising_strength, prepared.mask, Fill(body.inpainting_fill))


def _is_hires(body: GenerationBody) -> TypeGuard[TextToImageBody]:
    return isinstance(body, TextToImageBody) and body.enable_hr


def _second_pass(body: TextToImageBody, first: Generation, engine: Engine, model: Checkpoint | None) -> SecondPass:
    width, height = second_size(body)
    checkpoint = named(body.hr_checkpoint_name)
    if checkpoint is not None and find_checkpoint(engine, checkpoint) != model:
        reason = "another model for the second pass is not supported by this runtime; leave it out"
        raise InvalidRequest([Fault("hr_checkpoint_name", reason)])
    sampler, in_its_name = find_sampler(engine, same(body.hr_sampler_name, first.sampler), "hr_sampler_name")
    scheduler = find_scheduler(engine, body.hr_scheduler, "hr_scheduler") or in_its_name or first.scheduler
    strength = body.denoising_strength if body.denoising_strength is not None else 0.7
    upscaler = body.hr_upscaler or "Latent"
    resized = bool(body.hr_resize_x or body.hr_resize_y)
    told = {
        "Denoising strength": strength,
        **({"Hires sampler": sampler} if sampler != first.sampler else {}),
        **({"Hires prompt": body.hr_prompt} if body.hr_prompt else {}),
        **({"Hires negative prompt": body.hr_negative_prompt} if body.hr_negative_prompt else {}),
        **({"Hires schedule type": scheduler} if scheduler != first.scheduler else {}),
        **({"Hires resize": f"{width}x{height}"} if resized else {"Hires upscale": body.hr_scale}),
        **({"Hires steps": body.hr_second_pass_steps} if body.hr_second_pass_steps else {}),
        "Hires upscaler": upscaler,
    }
    return SecondPass(
        width=width,
        height=height,
        # Enlarging latents and enlarging pictures smoothly come to the same for what is redrawn afterwards.
        upscaler="Lanczos" if upscaler in LATENT_UPSCALERS else upscaler,
        steps=body.hr_second_pass_steps or body.steps,
        strength=strength,
        sampler=sampler,
        scheduler=scheduler,
        prompt=body.hr_prompt or first.prompts[0],
        negative_prompt=body.hr_negative_prompt or first.negative_prompts[0],
        told=told,
    )
