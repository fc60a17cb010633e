"""A request that tiny checkpoints answer at once."""

from __future__ import annotations

from darkroom.inference.engine import Generation

GENERATION = Generation(
    prompts=("a cat",),
    negative_prompts=("blurry",),
    seeds=(1,),
    subseeds=(2,),
    subseed_strength=0,
    width=64,
    height=64,
    steps=3,
    cfg_scale=7,
    sampler="Euler a",
)
