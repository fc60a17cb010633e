"""One batch of pictures: from conditioning and noise to pixels."""

from __future__ import annotations

from collections import deque
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
from darkroom.inference.stable_diffusion.guidance import Guided, Kept
from darkroom.inference.stable_diffusion.placement import Placed
from darkroom.inference.stable_diffusion.samplers import Plan

FACTOR = 8
#: Latents that the VAE decodes at once, in pixels: more gains nothing, and takes memory.
_DECODED_AT_ONCE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Prompts:
    """A checkpoint with what it makes of the prompts."""

    placed: Placed
    wanted: Conditioning
    unwanted: Conditioning


class Pace:
    """Keeps the host at most so many steps ahead of the device, so that an interrupt comes in time."""

    def __init__(self, device: torch.device, ahead: int) -> None:
        self._device = device
        self._ahead = ahead
        self._marks: deque[Any] = deque()

    def step(self) -> None:
        """A step has been queued; waits for the one that lies too far back."""
        if self._device.type != "cuda":
            return
        mark = torch.cuda.Event()
        mark.record()
        self._marks.append(mark)
        if len(self._marks) > self._ahead:
            self._marks.popleft().synchronize()


def sample(
    prompts: Prompts,
    plan: Plan,
    generation: Generation,
    watch: Watch,
    *,
    steps_ahead: int = 2,
    refined: Prompts | None = None,
) -> list[Image.Image]:
    """Make the pictures. Every random number comes from the picture's own seed, drawn on the CPU: no device differs.

    `refined` takes over at the part of the steps that the generation says.
    """
    networks = prompts.placed.networks
    place = networks.unet.conv_in.weight
    device = place.device
    chances = [torch.Generator("cpu").manual_seed(seed) for seed in generation.seeds]
    shape = (1, 4, generation.height // FACTOR, generation.width // FACTOR)

    def noise() -> torch.Tensor:
        return _sent(torch.cat([torch.randn(shape, generator=chance) for chance in chances]), device)

    first = torch.cat([_first_noise(generation, index, chance, shape) for index, chance in enumerate(chances)])
    first = _sent(first, device)
    levels, kept, beside = plan.levels, None, None
    source = generation.source
    if source is None:
        latents = first * levels[0]
        if networks.inpaints:
            beside = _beside(prompts.placed, None, len(chances), generation)
    else:
        # The last step is always taken, however little is redrawn.
        count = len(levels) - 1
        levels = levels[min(count - 1, max(0, count - round(count * source.strength))) :]
        mask = _mask_of(source, shape, device)
        started = _encode(prompts.placed, _pixels(source, len(chances)))
        if mask is not None:
            kept = Kept(started, mask)
            if source.fill in (Fill.NOISE, Fill.NOTHING):
                inside = first if source.fill is Fill.NOISE else torch.zeros_like(first)
                started = started + mask * (inside - started)
        latents = started + first * levels[0]
        if networks.inpaints:
            beside = _beside(prompts.placed, source, len(chances), generation)
    base = Guided(prompts.placed, generation, prompts.wanted, prompts.unwanted, kept=kept, beside=beside)
    denoise = _Remembering(base)
    if refined is not None:
        turn = plan.levels[min(len(plan.levels) - 2, round((len(plan.levels) - 1) * generation.refiner_switch_at))]
        denoise.refine(Guided(refined.placed, generation, refined.wanted, refined.unwanted, kept=kept), turn)
    pace, total = Pace(device, steps_ahead), len(levels) - 1
    for done, walked in enumerate(plan.solver(denoise, latents, levels, noise, plan.eta), start=1):
        latents = walked
        pace.step()
        if not watch.step(min(done, total), total, partial(_preview, denoise.seen[:1])):
            latents = denoise.seen  # not the noisy latents, but what they would become
            break
    if kept is not None:
        latents = kept.latents + kept.mask * (latents - kept.latents)
    return decode(prompts.placed, latents)


class _Remembering:
    """A denoiser that keeps its last answer, and hands over to the refiner."""

    def __init__(self, base: Guided) -> None:
        self._base = base
        self._refiner: tuple[Guided, float] | None = None
        self.seen = torch.empty(0)

    def refine(self, refiner: Guided, level: float) -> None:
        self._refiner = (refiner, level)

    def __call__(self, latents: torch.Tensor, level: float) -> torch.Tensor:
        use = self._base
        if self._refiner is not None and level <= self._refiner[1]:
            use = self._refiner[0]
        self.seen = use(latents, level)
        return self.seen


def _sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device. From memory that stays in its place, so that the device's queue is not waited for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _first_noise(generation: Generation, index: int, chance: torch.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    noise = torch.randn(shape, generator=chance)
    part = generation.subseed_strength
    if part == 0:
        return noise
    other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(generation.subseeds[index]))
    cosine = functional.cosine_similarity(noise.flatten(), other.flatten(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    return (torch.sin((1 - part) * angle) * noise + torch.sin(part * angle) * other) / torch.sin(angle)


def _pixels(source: Source, count: int) -> torch.Tensor:
    """The source's pictures in -1..1, one for each seed."""
    values = np.stack([np.asarray(source.image(index), np.float32) for index in range(count)]) / 127.5 - 1
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def _mask_of(source: Source, shape: tuple[int, ...], device: torch.device) -> torch.Tensor | None:
    if source.mask is None:
        return None
    grey = torch.from_numpy(np.asarray(source.mask.convert("L"), np.float32) / 255)[None, None].to(device)
    return functional.interpolate(grey, shape[-2:], mode="area")


def _encode(placed: Placed, pixels: torch.Tensor) -> torch.Tensor:
    vae = placed.networks.vae
    place = vae.encoder.conv_in.weight
    spread = vae.encode(pixels.to(place.device, place.dtype)).latent_dist
    latents: torch.Tensor = spread.mean.float() * placed.networks.latent_scale
    return latents


def _beside(placed: Placed, source: Source | None, count: int, generation: Generation) -> torch.Tensor:
    """What a checkpoint made for inpainting sees beside the latents: the mask, and the picture without what it hides.

    Without a mask everything is hidden, which is how SD Web UI makes such checkpoints draw from nothing.
    """
    weight = placed.networks.unet.conv_in.weight
    if source is None or source.mask is None:
        pixels = torch.zeros(1, 3, generation.height, generation.width)
        hidden = torch.ones(1, 1, generation.height, generation.width)
    else:
        pixels = _pixels(source, count)
        hidden = (torch.from_numpy(np.asarray(source.mask.convert("L"), np.float32)) > 127)[None, None].float()
    seen = _encode(placed, pixels * (1 - hidden)).expand(count, -1, -1, -1)
    small = functional.interpolate(hidden.to(seen.device), seen.shape[-2:], mode="nearest").expand(count, -1, -1, -1)
    return torch.cat([small, seen], dim=1).to(weight.dtype)


#: A rough colour for each latent channel, good enough to watch a picture come up.
_PREVIEW = torch.tensor(
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]]
)


def _preview(latents: torch.Tensor) -> Image.Image:
    pixels = torch.einsum("chw,cr->hwr", latents[0].float().cpu(), _PREVIEW)
    return Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).byte().numpy())


def decode(placed: Placed, latents: torch.Tensor) -> list[Image.Image]:
    """Pictures from latents, several at once where they are small. Raises `InvalidRequest` for a VAE that overflows."""
    kind = placed.networks.vae.decoder.conv_in.weight.dtype
    at_once = max(1, _DECODED_AT_ONCE // (latents.shape[-1] * latents.shape[-2] * FACTOR**2))
    pictures: list[Image.Image] = []
    for some in (latents / placed.networks.latent_scale).to(kind).split(at_once):
        pixels = placed.decode(some).float()
        finite = torch.isfinite(pixels).all()
        # Made bytes on the device: a quarter of the memory crosses over.
        values = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        if not bool(finite):
            raise InvalidRequest(
                [Fault("override_settings.sd_vae", "the VAE gave no finite numbers: use one that works in 16 bits")]
            )
        pictures += [Image.fromarray(value) for value in values]
    return pictures
