"""The text that describes how a picture was made, in the form that SD Web UI writes and its users' tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from darkroom.inference.engine import Checkpoint, Generation

VERSION = "darkroom"


def infotext(generation: Generation, index: int, checkpoint: Checkpoint, extra: Mapping[str, Any]) -> str:
    """How picture number `index` of a batch was made: three lines, the second missing without a negative prompt."""
    values: dict[str, Any] = {
        "Steps": generation.steps,
        "Sampler": generation.sampler,
        # Left out where it is Automatic: older clients count the values, and newer ones take it for that.
        **({"Schedule type": generation.scheduler} if generation.scheduler else {}),
        "CFG scale": generation.cfg_scale,
        "Seed": generation.seeds[index],
        "Size": f"{generation.width}x{generation.height}",
        **({"Model hash": checkpoint.hash} if checkpoint.hash else {}),
        "Model": checkpoint.made_by or checkpoint.name,
        **({"Stands in for": checkpoint.name} if checkpoint.made_by else {}),
        **extra,
        "Version": VERSION,
    }
    if generation.subseed_strength:
        values["Variation seed"] = generation.subseeds[index]
        values["Variation seed strength"] = generation.subseed_strength
    if generation.refiner is not None:
        values["Refiner"] = generation.refiner.title
        values["Refiner switch at"] = generation.refiner_switch_at
    if generation.source is not None:
        values["Denoising strength"] = generation.source.strength
    lines = [generation.prompts[index]] if generation.prompts[index] else []
    if generation.negative_prompts[index]:
        lines.append(f"Negative prompt: {generation.negative_prompts[index]}")
    # A value that holds a comma or a colon is quoted as JSON, or readers would split it.
    written = (f"{name}: {_quoted(value)}" for name, value in values.items())
    return "\n".join([*lines, ", ".join(written)])


def information(
    generations: list[Generation],
    checkpoint: Checkpoint,
    infotexts: list[str],
    started: datetime,
    index_of_first_image: int,
    extra: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> str:
    """The `info` of a response: JSON in a string, with SD Web UI's names.

    Where there are `warnings`, what of the request was not done, it has them too; SD Web UI has no such field.
    """
    first = generations[0]
    together: dict[str, list[Any]] = {"prompts": [], "negative_prompts": [], "seeds": [], "subseeds": []}
    for generation in generations:
        for name, values in together.items():
            values.extend(getattr(generation, name))
    return json.dumps(
        {
            "prompt": first.prompts[0],
            "all_prompts": together["prompts"],
            "negative_prompt": first.negative_prompts[0],
            "all_negative_prompts": together["negative_prompts"],
            "seed": first.seeds[0],
            "all_seeds": together["seeds"],
            "subseed": first.subseeds[0],
            "all_subseeds": together["subseeds"],
            "subseed_strength": first.subseed_strength,
            "width": first.width,
            "height": first.height,
            "sampler_name": first.sampler,
            "cfg_scale": first.cfg_scale,
            "steps": first.steps,
            "batch_size": len(first.seeds),
            "restore_faces": False,
            "face_restoration_model": None,
            "sd_model_name": checkpoint.name,
            "sd_model_hash": checkpoint.hash,
            "sd_vae_name": None,
            "sd_vae_hash": None,
            "seed_resize_from_w": -1,
            "seed_resize_from_h": -1,
            "denoising_strength": first.source.strength if first.source is not None else None,
            "extra_generation_params": dict(extra),
            "index_of_first_image": index_of_first_image,
            "infotexts": infotexts,
            "styles": [],
            "job_timestamp": started.strftime("%Y%m%d%H%M%S"),
            "clip_skip": first.clip_skip,
            "is_using_inpainting_conditioning": False,
            "version": VERSION,
            **({"warnings": list(warnings)} if warnings else {}),
        }
    )


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ',\n:"') else text
