"""What can be said against a request without the device: names that there are not, and what this runtime cannot do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from darkroom.errors import Fault, InvalidRequest, NotFound
from darkroom.inference import always_on
from darkroom.inference.engine import Checkpoint, Engine
from darkroom.inference.limits import MAX_REQUEST_PIXELS, MAX_SEED, MAX_SIDE
from darkroom.inference.reading import Pictures
from darkroom.inference.requests import GenerationBody, ImageToImageBody, TextToImageBody

#: How SD Web UI's page and its clients write that a list has no choice made.
_NOTHING = ("none", "automatic", "use same checkpoint", "use same sampler", "use same scheduler")


def find_checkpoint(engine: Engine, wanted: str) -> Checkpoint:
    """The engine's model of that title, name, file name or hash. Raises `NotFound`, naming those there are."""
    for checkpoint in engine.checkpoints():
        if checkpoint.answers_to(wanted):
            return checkpoint
    names = [checkpoint.file.name for checkpoint in engine.checkpoints()]
    raise NotFound(f"model {wanted!r} not found{did_you_mean(wanted, names)}; models: {', '.join(names) or 'none'}")


def check(body: GenerationBody, engine: Engine) -> tuple[str, str | None]:
    """Everything that can be said against a request without the device. Sampler and scheduler by their full names.

    Raises `InvalidRequest` and `NotFound`.
    """
    _refuse_unsupported(body, engine)
    if isinstance(body, ImageToImageBody) and not body.init_images:
        raise NotFound("Init image not found: init_images must hold at least one picture as base64")
    return _samplers(body, engine)


def check_amount(body: GenerationBody, pictures: Pictures) -> None:
    """Raises `InvalidRequest` when all pictures of the answer would have too many pixels together."""
    width, height = body.width, body.height
    where = "width"
    if isinstance(body, TextToImageBody) and body.enable_hr:
        width, height = second_size(body)
        where = "hr_scale"
    elif isinstance(body, ImageToImageBody) and pictures.mask is not None and body.inpaint_full_res:
        width, height = pictures.inits[0].size  # what is redrawn is put back into the whole picture
        where = "inpaint_full_res"
    count = body.batch_size * body.n_iter
    if width * height * count > MAX_REQUEST_PIXELS:
        raise InvalidRequest(
            [
                Fault(
                    where,
                    f"{count} times {width}x{height} is more than {MAX_REQUEST_PIXELS} pixels in one answer; ask for "
                    "smaller pictures, or lower batch_size or n_iter",
                )
            ]
        )


def second_size(body: TextToImageBody) -> tuple[int, int]:
    """The size of the second pass. Raises `InvalidRequest` when it is too large."""
    width = body.hr_resize_x or round(body.width * body.hr_scale)
    height = body.hr_resize_y or round(body.height * body.hr_scale)
    if max(width, height) > 2 * MAX_SIDE:
        raise InvalidRequest([Fault("hr_scale", f"{width}x{height} is too large; ask for at most 4096 a side")])
    return max(8, width // 8 * 8), max(8, height // 8 * 8)


def wants_refiner(body: GenerationBody) -> bool:
    """Whether a second model is to finish the pictures."""
    return named(body.refiner_checkpoint) is not None


def named(value: str | None) -> str | None:
    """What a field names; None for the ways in which clients say "nothing" or "the same"."""
    return None if value is None or not value.strip() or value.strip().lower() in _NOTHING else value


def same(value: str | None, other: str) -> str:
    """What a field of the second pass says, or what the first pass has."""
    return named(value) or other


def _refuse_unsupported(body: GenerationBody, engine: Engine) -> None:
    """Raises `InvalidRequest` for what this runtime cannot do: a picture without it would be a wrong picture."""
    faults = [
        Fault(name, f"is not supported by this runtime; leave {name} out")
        for name, asked in (
            ("restore_faces", body.restore_faces),
            ("tiling", body.tiling),
            ("styles", any(map(named, body.styles or ()))),
            ("refiner_checkpoint", wants_refiner(body) and not engine.refines),
            ("firstpass_image", body.firstpass_image),
            ("seed_resize_from_w", body.seed_resize_from_w > 0 or body.seed_resize_from_h > 0),
            ("latent_mask", getattr(body, "latent_mask", None)),
            ("firstphase_width", getattr(body, "firstphase_width", 0) or getattr(body, "firstphase_height", 0)),
        )
        if asked
    ]
    if named(body.script_name):
        faults.append(
            Fault("script_name", f"Script '{body.script_name}' not found: this runtime has none; leave it out")
        )
    if isinstance(body.alwayson_scripts, dict):
        faults += always_on.judge(body.alwayson_scripts)[0]
    faults += _seeds(body)
    if faults:
        raise InvalidRequest(faults)


def _seeds(body: GenerationBody) -> list[Fault]:
    """Pictures count up from the seed, or with variations from the subseed; none is ever cut off to fewer bits."""
    name = "subseed" if body.subseed_strength else "seed"
    count = body.batch_size * body.n_iter
    if getattr(body, name) + count - 1 <= MAX_SEED:
        return []
    return [Fault(name, f"the last of {count} pictures would have a {name} of more than 64 bits; send a smaller one")]


def find_sampler(engine: Engine, wanted: str, path: str = "sampler_name") -> tuple[str, str | None]:
    """A sampler's name as the engine has it, and the scheduler that SD Web UI's older spelling of it says.

    "Euler Karras" is Euler with Karras' schedule, as in SD Web UI 1.9 and later. Raises `NotFound`.
    """
    names = [sampler.name for sampler in engine.samplers]
    if wanted in names:
        return wanted, None
    for scheduler in engine.schedulers:
        short = wanted.removesuffix(f" {scheduler.label}")
        if short != wanted and short in names:
            return short, scheduler.label
    raise NotFound(f"Sampler not found: {path}: {wanted!r}{did_you_mean(wanted, names)}; samplers: {', '.join(names)}")


def find_scheduler(engine: Engine, wanted: str | None, path: str = "scheduler") -> str | None:
    """A scheduler's label, None for "Automatic". Raises `NotFound`."""
    if named(wanted) is None or wanted is None:
        return None
    for scheduler in engine.schedulers:
        if wanted in (scheduler.name, scheduler.label):
            return scheduler.label
    labels = [scheduler.label for scheduler in engine.schedulers]
    meant = did_you_mean(wanted, labels)
    raise NotFound(f"Scheduler not found: {path}: {wanted!r}{meant}; schedulers: Automatic, {', '.join(labels)}")


def did_you_mean(wanted: str, names: Sequence[str]) -> str:
    """Half a sentence that names what is meant most likely; empty where nothing is like it."""
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.casefold()[:100], folded, 1, 0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _samplers(body: GenerationBody, engine: Engine) -> tuple[str, str | None]:
    wanted = named(body.sampler_name) or named(body.sampler_index) or engine.samplers[0].name
    sampler, scheduler = find_sampler(engine, wanted)
    scheduler = find_scheduler(engine, body.scheduler) or scheduler
    if isinstance(body, TextToImageBody) and body.enable_hr:
        find_sampler(engine, same(body.hr_sampler_name, sampler), "hr_sampler_name")
        find_scheduler(engine, body.hr_scheduler, "hr_scheduler")
    return sampler, scheduler
