"""What can be said against a request without the device: names that there are not, and what this runtime cannot do."""

from __future__ import annotations

from darkroom.errors import Fault, InvalidRequest, NotFound
from darkroom.inference.engine import Checkpoint, Engine
from darkroom.inference.limits import MAX_REQUEST_PIXELS, MAX_SIDE
from darkroom.inference.reading import Pictures
from darkroom.inference.requests import GenerationBody, ImageToImageBody, TextToImageBody


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
    return body.refiner_checkpoint not in (None, "", "None")


def refuse_unsupported(body: GenerationBody, engine: Engine) -> None:
    """Raises `InvalidRequest` for what this runtime cannot do: a picture without it would be a wrong picture."""
    faults = [
        Fault(name, f"is not supported by this runtime; leave {name} out")
        for name, asked in (
            ("restore_faces", body.restore_faces),
            ("tiling", body.tiling),
            ("styles", body.styles),
            ("refiner_checkpoint", wants_refiner(body) and not engine.refines),
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
