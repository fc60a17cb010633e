"""Walks from noise to picture, in Karras' terms: the noisy latents are the picture plus `level` times noise.

Each takes a denoiser, the latents, the levels to walk through (the last is 0), a source of noise and `eta`, how much
noise is added on the way; and yields the latents after each step. Levels are plain numbers: nothing here waits for the
device. The sources are the papers named beside each; diffusers' samplers look their place up on the device instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

#: What the network takes noisy latents of a level to be a noisy picture of.
Denoiser = Callable[[torch.Tensor, float], torch.Tensor]
Noise = Callable[[], torch.Tensor]
Solver = Callable[[Denoiser, torch.Tensor, Sequence[float], Noise, float], Iterator[torch.Tensor]]

#: Adams and Bashforth's weights for equal steps, newest first.
_EQUAL_STEPS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def split(level: float, following: float, eta: float) -> tuple[float, float]:
    """The level to walk down to, and how much noise to add there, so that `following` is reached in the end."""
    if following == 0 or eta == 0:
        return following, 0.0
    added = min(following, eta * math.sqrt(max(0.0, following**2 * (level**2 - following**2) / level**2)))
    return math.sqrt(following**2 - added**2), added


def euler(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """Euler; with `eta` 1 Euler a, and over even steps DDIM, whose formula is the same in these terms."""
    for level, following in pairwise(levels):
        down, added = split(level, following, eta)
        picture = denoise(latents, level)
        latents = latents + (latents - picture) * ((down - level) / level)
        if added:
            latents = latents + noise() * added
        yield latents


def heun(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """Karras et al. (2022). A level above the one before is a restart (Xu et al., 2023): noise is added up to it."""
    for level, following in pairwise(levels):
        if following > level:
            latents = latents + noise() * math.sqrt(following**2 - level**2)
            yield latents
            continue
        slope = (latents - denoise(latents, level)) / level
        there = latents + slope * (following - level)
        if following:
            slope = (slope + (there - denoise(there, following)) / following) / 2
            there = latents + slope * (following - level)
        latents = there
        yield latents


def midpoint(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM2, and with `eta` DPM2 a: the slope is taken half way, as logarithms have it."""
    for level, following in pairwise(levels):
        down, added = split(level, following, eta)
        slope = (latents - denoise(latents, level)) / level
        if down:
            middle = math.sqrt(level * down)
            there = latents + slope * (middle - level)
            slope = (there - denoise(there, middle)) / middle
        latents = latents + slope * (down - level)
        if added:
            latents = latents + noise() * added
        yield latents


def linear_multistep(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """LMS: a polynomial through the last four slopes, integrated over the step."""
    slopes: list[torch.Tensor] = []
    for place, (level, following) in enumerate(pairwise(levels)):
        slopes = [(latents - denoise(latents, level)) / level, *slopes[:3]]
        passed = [levels[place - back] for back in range(len(slopes))]
        for index, slope in enumerate(slopes):
            latents = latents + slope * _weight(index, passed, level, following)
        yield latents


def _weight(index: int, passed: Sequence[float], begin: float, end: float) -> float:
    """The integral of the polynomial that is 1 at one passed level and 0 at the others."""
    polynomial = np.polynomial.Polynomial([1.0])
    for other, level in enumerate(passed):
        if other != index:
            polynomial *= np.polynomial.Polynomial([-level, 1.0]) / (passed[index] - level)
    integral: Any = polynomial.integ()
    return float(integral(end) - integral(begin))


def pseudo_multistep(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """PLMS (Liu et al., 2022): as if the steps were equal; the first one looks ahead."""
    slopes: list[torch.Tensor] = []
    for level, following in pairwise(levels):
        slopes = [(latents - denoise(latents, level)) / level, *slopes[:3]]
        if len(slopes) == 1 and following:
            ahead = latents + slopes[0] * (following - level)
            slope = (slopes[0] + (ahead - denoise(ahead, following)) / following) / 2
        else:
            weights = _EQUAL_STEPS[len(slopes) - 1]
            slope = sum(
                (weight * past for weight, past in zip(weights, slopes, strict=True)), torch.zeros_like(latents)
            )
        latents = latents + slope * (following - level)
        yield latents


def consistency(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """LCM (Luo et al., 2023): each answer is a picture; noise is put on it for the next."""
    for level, following in pairwise(levels):
        latents = denoise(latents, level)
        if following:
            latents = latents + noise() * following
        yield latents


def unified(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """UniPC (Zhao et al., 2023), third order, variant B1: what was predicted is corrected by the next answer."""
    known: list[tuple[float, torch.Tensor]] = []  # newest first: minus the level's logarithm, and the picture there
    corrected = latents
    count = len(levels) - 1
    for place, (level, following) in enumerate(pairwise(levels)):
        picture = denoise(latents, level)
        if place:
            order = min(place, 3, count - place + 1)
            latents = _unified_step(corrected, known, levels[place - 1], level, order, picture)
        known = [(-math.log(level), picture), *known[:2]]
        corrected = latents
        if following == 0:
            latents = picture
        else:
            latents = _unified_step(corrected, known, level, following, min(place + 1, 3, count - place), None)
        yield latents


def _unified_step(
    latents: torch.Tensor,
    known: Sequence[tuple[float, torch.Tensor]],
    level: float,
    following: float,
    order: int,
    answer: torch.Tensor | None,
) -> torch.Tensor:
    """One step. With `answer`, the picture at its end, it corrects; without, it predicts."""
    begin, picture = known[0]
    width = -math.log(following) - begin
    ratios = [(known[back][0] - begin) / width for back in range(1, order)]
    changes = [(known[back][1] - picture) / ratio for back, ratio in enumerate(ratios, start=1)]
    if answer is not None:
        ratios.append(1.0)
        changes.append(answer - picture)
    result = latents * (following / level) - picture * math.expm1(-width)
    if not changes:
        return result
    phi, factorial, wanted = math.expm1(-width) / -width - 1, 1, []
    for power in range(1, len(ratios) + 1):
        wanted.append(phi * factorial / -width)
        factorial *= power + 1
        phi = phi / -width - 1 / factorial
    if len(ratios) == 1:
        weights = [0.5]  # exact for the first order, and what the authors take
    else:
        rows = [[ratio**power for ratio in ratios] for power in range(len(ratios))]
        weights = [float(weight) for weight in np.linalg.solve(np.array(rows), np.array(wanted))]
    for weight, change in zip(weights, changes, strict=True):
        result = result + change * (weight * width)
    return result
