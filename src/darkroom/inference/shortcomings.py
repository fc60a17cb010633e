"""What of a request is taken and yet not done: it goes into the answer, as `info.warnings`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from darkroom.inference.always_on import judge
from darkroom.inference.engine import Checkpoint, Engine, Generation
from darkroom.inference.infotext_reading import named_model
from darkroom.inference.options import Options
from darkroom.inference.requests import GenerationBody, ImageToImageBody

#: Fields that neither engine heeds, with the values that change nothing in SD Web UI either.
_UNHEEDED: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("s_churn", (0,)),
    ("s_tmin", (0,)),
    ("s_noise", (1,)),
    ("s_min_uncond", (0,)),
    ("initial_noise_multiplier", (1,)),
)
_MOST = 20
_LONGEST = 300

# Possessive: no text makes it look at anything twice.
_SQUARE = re.compile(r"\[([^\[\]]*+)\]")
_KEYWORDS = re.compile(r"\b(?:AND|BREAK)\b")


def shortcomings(
    body: GenerationBody, generation: Generation, engine: Engine, options: Options, checkpoint: Checkpoint | None
) -> tuple[str, ...]:
    """Sentences for whoever asked, each beginning with the field that it is about. `checkpoint` makes the pictures."""
    return tuple(text[:_LONGEST] for text in dict.fromkeys(_found(body, generation, engine, options, checkpoint)))[
        :_MOST
    ]


def _found(
    body: GenerationBody, generation: Generation, engine: Engine, options: Options, checkpoint: Checkpoint | None
) -> Iterable[str]:
    for name, asked, made in (("width", body.width, generation.width), ("height", body.height, generation.height)):
        if asked != made:
            yield f"{name}: {asked} was made {made}, since sizes are multiples of 8"
    for name, neutral in _UNHEEDED:
        value = getattr(body, name, None)
        if value is not None and value not in neutral:
            yield f"{name}: is not heeded by this runtime"
    if options.eta_noise_seed_delta:
        yield "eta_noise_seed_delta: is not heeded by this runtime"
    for name in ("prompt", "negative_prompt"):
        if marks := _other_notation(getattr(body, name)):
            yield f"{name}: {marks} is read as words; this runtime has one prompt from the first step to the last"
    yield from judge(_scripts(body))[1]
    model = named_model(body)
    if model is not None and checkpoint is not None and not checkpoint.answers_to(model):
        yield (
            f"infotext: names the model {model}, which is not switched to, as in SD Web UI; "
            "name it in override_settings.sd_model_checkpoint"
        )
    if body.infotext and isinstance(body, ImageToImageBody):
        yield "infotext: image-to-image takes steps, sampler, seed and clip skip of it, as in SD Web UI"
    yield from engine.shortcomings(generation)


def _scripts(body: GenerationBody) -> dict[str, object]:
    return body.alwayson_scripts if isinstance(body.alwayson_scripts, dict) else {}


def _other_notation(prompt: str) -> str | None:
    """SD Web UI's notation for prompts that change on the way, which no engine here has."""
    for match in _SQUARE.finditer(prompt):
        inner = match.group(1)
        if "|" in inner or (inner.count(":") >= 2 and _is_number(inner.rpartition(":")[2])):
            return match.group(0)[:60]
    found = _KEYWORDS.search(prompt)
    return found.group(0) if found else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
