"""One batch of pictures: from conditioning and noise to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.engine import Fill, Generation, Source, Watch
from darkroom.inference.stable_diffusion.encoding import Conditioning
from darkroom.inference.stable_diffusion.networks import Networks

FACTOR = 8


@dataclass(frozen=True, slots=True)
class Start:
    """What img2img begins from: the source's latents, and the part to redraw [1, 1, height, width] in 0..1."""

    latents: torch.Tensor
    mask: torch.Tensor | None
    fill: Fill


def sample(
    networks: Networks,
    scheduler: Any,
    generation: Generation,
    wanted: Conditioning,
    unwanted: Conditioning,
    watch: Watch,
) -> list[Image.Image]:
    """Make the pictures. Every random number comes from the picture's own seed, drawn on the CPU: no device differs."""
    place = networks.unet.conv_in.weight
    device, kind = place.device, place.dtype
    chances = [torch.Generator("cpu").manual_seed(seed) for seed in generation.seeds]
    shape = (1, 4, generation.height // FACTOR, generation.width // FACTOR)
    noise = torch.cat([_noise(generation, index, chance, shape) for index, chance in enumerate(chances)]).to(device)
    scheduler.set_timesteps(generation.steps, device=device)
    timesteps = scheduler.timesteps
    if generation.source is None:
        start = None
        latents = noise * scheduler.init_noise_sigma
    else:
        start = _encode_source(networks, generation.source, len(chances), kind, device)
        timesteps = timesteps[_first_step(len(timesteps), generation.source.strength) :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
        latents = scheduler.add_noise(_filled(start, noise), noise, timesteps[:1].repeat(len(noise)))
    conditions = _conditions(networks, generation, wanted, unwanted, kind, device)
    guided = generation.cfg_scale != 1
    for index, timestep in enumerate(timesteps):
        fed = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, timestep)
        with torch.inference_mode():
            answer = networks.unet(fed.to(kind), timestep, **conditions).sample.float()
        if guided:
            without, with_ = answer.chunk(2)
            answer = without + generation.cfg_scale * (with_ - without)
        latents = scheduler.step(answer, timestep, latents, **_step_options(scheduler, chances, generation)).prev_sample
        if start is not None and start.mask is not None:
            latents = _outside(scheduler, start, latents, noise, timesteps, index)
        if not watch.step(index + 1, len(timesteps), partial(_preview, latents[:1].clone())):
            break
    return [_decode(networks, latent[None], kind) for latent in latents]


def _noise(generation: Generation, index: int, chance: torch.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    noise = torch.randn(shape, generator=chance)
    part = generation.subseed_strength
    if part == 0:
        return noise
    other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(generation.subseeds[index]))
    cosine = functional.cosine_similarity(noise.flatten(), other.flatten(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    return (torch.sin((1 - part) * angle) * noise + torch.sin(part * angle) * other) / torch.sin(angle)


def _first_step(steps: int, strength: float) -> int:
    """How many of the steps a partial redrawing leaves out; the last step is always taken."""
    return min(steps - 1, max(0, steps - round(steps * strength)))


def _encode_source(networks: Networks, source: Source, count: int, kind: torch.dtype, device: torch.device) -> Start:
    pixels = np.stack([np.asarray(source.image(index), np.float32) for index in range(count)]) / 127.5 - 1
    with torch.inference_mode():
        spread = networks.vae.encode(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device, kind)).latent_dist
    latents = spread.mean.float() * networks.latent_scale
    if source.mask is None:
        return Start(latents, None, Fill.ORIGINAL)
    grey = torch.from_numpy(np.asarray(source.mask.convert("L"), np.float32) / 255)[None, None].to(device)
    return Start(latents, functional.interpolate(grey, latents.shape[-2:], mode="area"), source.fill)


def _filled(start: Start, noise: torch.Tensor) -> torch.Tensor:
    if start.mask is None or start.fill in (Fill.ORIGINAL, Fill.BLURRED):
        return start.latents
    inside = noise if start.fill is Fill.NOISE else torch.zeros_like(noise)
    return start.mask * inside + (1 - start.mask) * start.latents


def _outside(
    scheduler: Any, start: Start, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, index: int
) -> torch.Tensor:
    """Outside the mask the latents are the source's, as noisy as the rest is now."""
    assert start.mask is not None  # noqa: S101 - the caller has looked
    kept = start.latents
    if index + 1 < len(timesteps):
        kept = scheduler.add_noise(start.latents, noise, timesteps[index + 1 : index + 2].repeat(len(noise)))
    return start.mask * latents + (1 - start.mask) * kept


def _conditions(
    networks: Networks,
    generation: Generation,
    wanted: Conditioning,
    unwanted: Conditioning,
    kind: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    guided = generation.cfg_scale != 1
    pair = [unwanted, wanted] if guided else [wanted]
    words = torch.cat([condition.words for condition in pair]).to(kind)
    if wanted.pooled is None or unwanted.pooled is None:
        return {"encoder_hidden_states": words}
    # XL is told the size it was asked for, as the picture's original size, uncropped.
    sizes = [generation.height, generation.width, 0, 0, generation.height, generation.width]
    return {
        "encoder_hidden_states": words,
        "added_cond_kwargs": {
            "text_embeds": torch.cat([condition.pooled for condition in pair if condition.pooled is not None]).to(kind),
            "time_ids": torch.tensor([sizes] * len(words), device=device, dtype=kind),
        },
    }


def _step_options(scheduler: Any, chances: list[torch.Generator], generation: Generation) -> dict[str, Any]:
    """Only those of diffusers' options that this scheduler's step knows."""
    known = type(scheduler).step.__code__.co_varnames
    options: dict[str, Any] = {}
    if "generator" in known:
        options["generator"] = chances
    if "eta" in known and generation.eta is not None:
        options["eta"] = generation.eta
    return options


#: A rough colour for each latent channel, good enough to watch a picture come up.
_PREVIEW = torch.tensor(
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]]
)


def _preview(latents: torch.Tensor) -> Image.Image:
    pixels = torch.einsum("chw,cr->hwr", latents[0].float().cpu(), _PREVIEW)
    return Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).byte().numpy())


def _decode(networks: Networks, latents: torch.Tensor, kind: torch.dtype) -> Image.Image:
    with torch.inference_mode():
        pixels = networks.vae.decode((latents / networks.latent_scale).to(kind)).sample[0].float()
    if not bool(torch.isfinite(pixels).all()):
        raise InvalidRequest(
            [Fault("override_settings.sd_vae", "the VAE gave no finite numbers: use one that works in 16 bits")]
        )
    return Image.fromarray(((pixels.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy())
