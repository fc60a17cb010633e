"""From a request's body to pictures: reads the body into generations, runs them on the engine, writes the response."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from PIL import Image

from darkroom.errors import Fault, InvalidRequest, NotFound
from darkroom.inference.device import Job
from darkroom.inference.engine import Checkpoint, Engine, Fill, Generation, Source
from darkroom.inference.infotext import information, infotext
from darkroom.inference.inpainting import MaskOptions, Prepared, ResizeMode, prepare
from darkroom.inference.options import Options
from darkroom.inference.pictures import decode_picture, encode_picture, grid_of, opaque
from darkroom.inference.requests import GenerationBody, ImageToImageBody, TextToImageBody
from darkroom.inference.upscaling import Upscaling

SEED_LIMIT = 2**32
#: When a refiner takes over, where the request names one and does not say: what SD Web UI's page begins with.
REFINER_SWITCH = 0.8


@dataclass(frozen=True, slots=True)
class SecondPass:
    """SD Web UI's "hires. fix": enlarge the first pictures, then redraw part of them."""

    width: int
    height: int
    upscaler: str
    steps: int
    strength: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A request, read: its batches, and what to do with the pictures."""

    rounds: tuple[Generation, ...]
    checkpoint: str | None
    options: Options
    prepared: Prepared | None = None
    second: SecondPass | None = None
    grid: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the device has made: pictures with their texts, how they are to be encoded, and the response's `info`."""

    pictures: list[Image.Image]
    texts: list[str]
    options: Options
    gridded: bool
    info: str


@dataclass(frozen=True, slots=True)
class Made:
    """The response's parts; `images` are base64."""

    images: list[str]
    info: str


def plan(body: GenerationBody, engine: Engine, options: Options, chance: random.Random) -> Plan:
    """Read a body. Raises `InvalidRequest` with every fault that can be found, and `NotFound`."""
    overrides = dict(body.override_settings or {})
    checkpoint = overrides.pop("sd_model_checkpoint", None)
    if checkpoint is not None:
        if not isinstance(checkpoint, str):
            raise InvalidRequest([Fault("override_settings.sd_model_checkpoint", "must be a model's name")])
        find_checkpoint(engine, checkpoint)
    options = options.changed(overrides, "override_settings")
    sampler, scheduler = check(body, engine)
    refiner = find_checkpoint(engine, body.refiner_checkpoint or "") if _wants_refiner(body) else None
    width, height = body.width // 8 * 8, body.height // 8 * 8
    prepared, source = _source(body, width, height, options) if isinstance(body, ImageToImageBody) else (None, None)
    first_seed = body.seed if body.seed >= 0 else chance.randrange(SEED_LIMIT)
    first_subseed = body.subseed if body.subseed >= 0 else chance.randrange(SEED_LIMIT)

    def batch(number: int) -> Generation:
        places = range(number * body.batch_size, (number + 1) * body.batch_size)
        vary = body.subseed_strength != 0  # with variations every picture keeps the seed, and the subseeds count up
        return Generation(
            prompts=(body.prompt,) * body.batch_size,
            negative_prompts=(body.negative_prompt,) * body.batch_size,
            seeds=tuple((first_seed + (0 if vary else place)) % SEED_LIMIT for place in places),
            subseeds=tuple((first_subseed + place) % SEED_LIMIT for place in places),
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

    return Plan(
        rounds=tuple(batch(number) for number in range(body.n_iter)),
        checkpoint=checkpoint,
        options=options,
        prepared=prepared,
        second=_second_pass(body) if isinstance(body, TextToImageBody) and body.enable_hr else None,
        # SD Web UI returns the grid only when it also saves it.
        grid=body.save_images
        and options.return_grid
        and not body.do_not_save_grid
        and body.batch_size * body.n_iter > 1,
    )


def draw(plan: Plan, engine: Engine, upscaling: Upscaling, job: Job, now: Callable[[], datetime]) -> Drawn:
    """Run a plan on the engine, on the device's thread. An interrupted job returns what it has."""
    started = now()
    checkpoint = engine.loaded()
    if checkpoint is None:
        raise NotFound("no model is loaded")
    pictures: list[Image.Image] = []
    texts: list[str] = []
    extra: dict[str, Any] = {}
    if plan.second is not None:
        extra = {"Hires resize": f"{plan.second.width}x{plan.second.height}", "Hires upscaler": plan.second.upscaler}
    for number, generation in enumerate(plan.rounds):
        if not job.begin_round(number, len(plan.rounds)):
            break
        # With a second pass the refiner has its turn there, as in SD Web UI.
        made = engine.generate(generation if plan.second is None else replace(generation, refiner=None), job)
        if plan.second is not None and not job.interrupted:
            made = _second(generation, plan.second, made, engine, upscaling, job)
        for index, picture in enumerate(made):
            pictures.append(plan.prepared.finish(index, picture) if plan.prepared is not None else picture)
            texts.append(infotext(generation, index, checkpoint, extra))
    gridded = plan.grid and len(pictures) > 1
    shown = [texts[0], *texts] if gridded else texts
    info = information(list(plan.rounds), checkpoint, shown, started, int(gridded), extra)
    return Drawn(pictures, texts, plan.options, gridded, info)


def encode(drawn: Drawn) -> Made:
    """Pictures to base64. It needs no device: the next request has it meanwhile."""
    options = drawn.options
    images = [_encode(picture, text, options) for picture, text in zip(drawn.pictures, drawn.texts, strict=True)]
    if drawn.gridded:
        images.insert(0, encode_picture(grid_of(drawn.pictures), options.grid_format, drawn.texts[0]))
    return Made(images, drawn.info)


def find_checkpoint(engine: Engine, wanted: str) -> Checkpoint:
    """The engine's model of that title, name, file name or hash. Raises `NotFound`, naming those there are."""
    for checkpoint in engine.checkpoints():
        if checkpoint.answers_to(wanted):
            return checkpoint
    names = ", ".join(checkpoint.file.name for checkpoint in engine.checkpoints()) or "none"
    raise NotFound(f"model {wanted!r} not found; models: {names}")


def check(body: GenerationBody, engine: Engine) -> tuple[str, str | None]:
    """Everything that can be said against a request without the device. Sampler and scheduler by their full names.

    Raises `InvalidRequest` and `NotFound`.
    """
    refuse_unsupported(body, engine)
    if isinstance(body, ImageToImageBody) and not body.init_images:
        raise NotFound("Init image not found: init_images must hold at least one picture as base64")
    return _sampler(body, engine)


def _wants_refiner(body: GenerationBody) -> bool:
    return body.refiner_checkpoint not in (None, "", "None")


def refuse_unsupported(body: GenerationBody, engine: Engine) -> None:
    """Raises `InvalidRequest` for what this runtime cannot do: a picture without it would be a wrong picture."""
    faults = [
        Fault(name, f"is not supported by this runtime; leave {name} out")
        for name, asked in (
            ("restore_faces", body.restore_faces),
            ("tiling", body.tiling),
            ("styles", body.styles),
            ("refiner_checkpoint", _wants_refiner(body) and not engine.refines),
            ("firstpass_image", body.firstpass_image),
            ("seed_resize_from_w", body.seed_resize_from_w > 0 or body.seed_resize_from_h > 0),
            ("hr_checkpoint_name", getattr(body, "hr_checkpoint_name", None)),
            ("hr_sampler_name", getattr(body, "hr_sampler_name", None)),
            ("hr_prompt", getattr(body, "hr_prompt", None)),
            ("hr_negative_prompt", getattr(body, "hr_negative_prompt", None)),
        )
        if asked
    ]
    if body.script_name:
        faults.append(Fault("script_name", f"Script '{body.script_name}' not found"))
    faults += [Fault(f"alwayson_scripts.{name}", f"Script '{name}' not found") for name in body.alwayson_scripts]
    if faults:
        raise InvalidRequest(faults)


def _sampler(body: GenerationBody, engine: Engine) -> tuple[str, str | None]:
    name = body.sampler_name or body.sampler_index or engine.samplers[0].name
    if name not in {sampler.name for sampler in engine.samplers}:
        raise NotFound(
            f"Sampler not found: {name!r}; samplers: {', '.join(sampler.name for sampler in engine.samplers)}"
        )
    if not body.scheduler or body.scheduler.lower() == "automatic":
        return name, None
    for scheduler in engine.schedulers:
        if body.scheduler in (scheduler.name, scheduler.label):
            return name, scheduler.label
    raise NotFound(
        f"Scheduler not found: {body.scheduler!r}; schedulers: "
        + ", ".join(scheduler.label for scheduler in engine.schedulers)
    )


def _source(body: ImageToImageBody, width: int, height: int, options: Options) -> tuple[Prepared, Source]:
    pictures = [
        opaque(decode_picture(text, f"init_images.{index}"), options.img2img_background_color)
        for index, text in enumerate(body.init_images or ())
    ]
    blur_x, blur_y = (body.mask_blur_x, body.mask_blur_y) if body.mask_blur is None else (body.mask_blur,) * 2
    prepared = prepare(
        pictures,
        decode_picture(body.mask, "mask") if body.mask else None,
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


def _second_pass(body: TextToImageBody) -> SecondPass:
    width = body.hr_resize_x or round(body.width * body.hr_scale)
    height = body.hr_resize_y or round(body.height * body.hr_scale)
    if max(width, height) > 2 * 2048:
        raise InvalidRequest([Fault("hr_scale", f"{width}x{height} is too large; ask for at most 4096 a side")])
    upscaler = body.hr_upscaler or "Latent"
    return SecondPass(
        width=max(8, width // 8 * 8),
        height=max(8, height // 8 * 8),
        # Enlarging latents and enlarging pictures smoothly come to the same for what is redrawn afterwards.
        upscaler="Lanczos" if upscaler.startswith("Latent") else upscaler,
        steps=body.hr_second_pass_steps or body.steps,
        strength=body.denoising_strength if body.denoising_strength is not None else 0.7,
    )


def _second(
    generation: Generation,
    second: SecondPass,
    pictures: list[Image.Image],
    engine: Engine,
    upscaling: Upscaling,
    job: Job,
) -> list[Image.Image]:
    enlarged = tuple(upscaling.upscale(second.upscaler, picture, second.width, second.height) for picture in pictures)
    again = replace(
        generation,
        width=second.width,
        height=second.height,
        steps=second.steps,
        source=Source(enlarged, second.strength),
    )
    return engine.generate(again, job)


def _encode(picture: Image.Image, text: str, options: Options) -> str:
    return encode_picture(
        picture, options.samples_format, text if options.enable_pnginfo else None, options.jpeg_quality
    )
