"""The denoiser that solvers walk with: the UNet, guided by the prompts, on whatever kind of checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from darkroom.inference.engine import Generation
from darkroom.inference.stable_diffusion.encoding import Conditioning
from darkroom.inference.stable_diffusion.noise_levels import step_at
from darkroom.inference.stable_diffusion.placement import Placed

#: What a refiner is told of how beautiful the picture should be, wanted and unwanted: SD Web UI's defaults.
BEAUTIFUL, UGLY = 6.0, 2.5


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a picture that stays: its latents, and where, 1 for what is redrawn [1, 1, height, width]."""

    latents: torch.Tensor
    mask: torch.Tensor


class Guided:
    """Turns noisy latents (float32) into the picture that the network sees in them, with both prompts weighed."""

    def __init__(
        self,
        placed: Placed,
        generation: Generation,
        wanted: Conditioning,
        unwanted: Conditioning,
        *,
        kept: Kept | None = None,
        beside: torch.Tensor | None = None,
    ) -> None:
        """`beside` are the latents' further channels, which a checkpoint made for inpainting takes."""
        self._placed = placed
        self._scale = generation.cfg_scale
        self._twice = 2 if generation.cfg_scale != 1 else 1
        self._type = placed.networks.unet.conv_in.weight.dtype
        self._kept = kept
        self._beside = None if beside is None else torch.cat([beside] * self._twice)
        device = placed.networks.unet.conv_in.weight.device
        self._conditions = _conditions(placed, generation, wanted, unwanted, self._type, device)

    def __call__(self, latents: torch.Tensor, level: float) -> torch.Tensor:
        """See `solvers.Denoiser`."""
        # The network knows pictures whose noise and content together have the variance 1.
        scale = 1 / math.sqrt(level**2 + 1)
        fed = torch.cat([latents * scale] * self._twice).to(self._type)
        if self._beside is not None:
            fed = torch.cat([fed, self._beside], dim=1)
        # Filled on the device: a number sent there would be waited for.
        steps = torch.full((len(fed),), step_at(level), device=fed.device)
        answer = self._placed.predict(fed, steps, **self._conditions, return_dict=False)[0].float()
        if self._twice == 2:
            without, with_ = answer.chunk(2)
            answer = without + self._scale * (with_ - without)
        if self._placed.networks.prediction == "v_prediction":
            picture = latents * scale**2 - answer * (level * scale)
        else:
            picture = latents - answer * level
        if self._kept is not None:
            picture = self._kept.latents + self._kept.mask * (picture - self._kept.latents)
        return picture


def _conditions(
    placed: Placed,
    generation: Generation,
    wanted: Conditioning,
    unwanted: Conditioning,
    kind: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    pair = [unwanted, wanted] if generation.cfg_scale != 1 else [wanted]
    words = torch.cat([condition.words for condition in pair]).to(kind)
    if wanted.pooled is None or unwanted.pooled is None:
        return {"encoder_hidden_states": words}
    # XL is told the size it was asked for, as the picture's original size, uncropped; the refiner the size, and beauty.
    size = [generation.height, generation.width, 0, 0]
    if placed.networks.is_refiner:
        rows = [[*size, UGLY], [*size, BEAUTIFUL]][-len(pair) :]
    else:
        rows = [[*size, generation.height, generation.width]] * len(pair)
    count = len(generation.seeds)
    return {
        "encoder_hidden_states": words,
        "added_cond_kwargs": {
            "text_embeds": torch.cat([condition.pooled for condition in pair if condition.pooled is not None]).to(kind),
            "time_ids": torch.tensor([row for row in rows for _ in range(count)], device=device, dtype=kind),
        },
    }
