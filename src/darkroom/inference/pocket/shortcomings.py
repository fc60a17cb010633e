"""What requests ask of larger models, and the pocket model cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from darkroom.inference.emphasis import weighted_parts
from darkroom.inference.engine import Generation
from darkroom.inference.pocket.tokens import MAX_WORDS, count_words

#: Guidance beyond this makes no other picture.
MOST_CFG_SCALE = 20.0

#: `<lora:name:weight>` and its like.
_NETWORK = re.compile(r"<(\w++):[^<>]*+>")
#: What SD Web UI does where a request says nothing, for the samplers that heed `eta` there.
_USUAL_ETA = {"Euler a": 1.0, "DDIM": 0.0}


def pocket_shortcomings(generation: Generation) -> Sequence[str]:
    """See `Engine.shortcomings`."""
    return tuple(_found(generation))


def _found(generation: Generation) -> Iterator[str]:
    for name, text in (("prompt", generation.prompts[0]), ("negative_prompt", generation.negative_prompts[0])):
        networks = [match.group(0) for match in _NETWORK.finditer(text)]
        if networks:
            yield f"{name}: {', '.join(networks[:3])} was left out: the engine 'pocket' has no LoRAs"
        plain = _NETWORK.sub(" ", text)
        if any(weight != 1.0 for _, weight in weighted_parts(plain)):
            yield f"{name}: emphasis such as (word:1.3) means nothing to the engine 'pocket'"
        if count_words(plain) > MAX_WORDS:
            yield f"{name}: only its first {MAX_WORDS} words count for the engine 'pocket'"
    if generation.clip_skip > 1:
        yield "CLIP_stop_at_last_layers: means nothing to the engine 'pocket'"
    usual = _USUAL_ETA.get(generation.sampler)
    if usual is not None and generation.eta not in (None, usual):
        yield f"eta: is not heeded by the engine 'pocket', whose {generation.sampler} has {usual:g}"
    if generation.cfg_scale > MOST_CFG_SCALE:
        yield f"cfg_scale: more than {MOST_CFG_SCALE:g} counts as {MOST_CFG_SCALE:g} for the engine 'pocket'"
