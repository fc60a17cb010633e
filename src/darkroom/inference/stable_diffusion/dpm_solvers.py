"""The DPM++ family and DPM fast and adaptive (Lu et al., 2022), in the terms of `solvers`.

Their time is minus the level's logarithm; between two levels lies the width `h`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch

from darkroom.inference.stable_diffusion.solvers import Denoiser, Noise, Solver, split

#: How near two orders' results must be in an adaptive step, how it begins, and when it is taken.
_RELATIVE, _ABSOLUTE, _FIRST_WIDTH, _ACCEPT = 0.05, 0.0078, 0.05, 0.81
_MOST_TRIES = 500


def single_step(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM++ 2S a: looks ahead to the middle of each step."""
    for level, following in pairwise(levels):
        down, added = split(level, following, eta)
        picture = denoise(latents, level)
        if down:
            h = math.log(level / down)
            ahead = latents * math.exp(-h / 2) - picture * math.expm1(-h / 2)
            picture = denoise(ahead, level * math.exp(-h / 2))
            latents = latents * math.exp(-h) - picture * math.expm1(-h)
        else:
            latents = picture
        if added:
            latents = latents + noise() * added
        yield latents


def stochastic(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM++ SDE: as above, with noise. The first half's noise is a part of the whole step's, as on a Brownian path."""
    for level, following in pairwise(levels):
        picture = denoise(latents, level)
        if not following:
            yield picture
            continue
        middle = math.sqrt(level * following)
        down, added = split(level, middle, eta)
        first = noise()
        ahead = latents * (down / level) + picture * (1 - down / level) + first * added
        picture = denoise(ahead, middle)
        down, added = split(level, following, eta)
        whole = (first * math.sqrt(level - middle) + noise() * math.sqrt(middle - following)) / math.sqrt(
            level - following
        )
        latents = latents * (down / level) + picture * (1 - down / level) + whole * added
        yield latents


def _multistep_2(
    slope_of_heun: bool, denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM++ 2M SDE, and without `eta` DPM++ 2M: the last two answers, extended into the step."""
    before, width = None, 0.0
    for level, following in pairwise(levels):
        picture = denoise(latents, level)
        if not following:
            latents = picture
        else:
            h = math.log(level / following)
            wide = h * (1 + eta)
            part = -math.expm1(-wide)
            latents = latents * math.exp(-wide) + picture * part
            if before is not None:
                factor = 1 - part / wide if slope_of_heun else part / 2
                latents = latents + (picture - before) * (factor * h / width)
            if eta:
                latents = latents + noise() * (following * math.sqrt(-math.expm1(-2 * eta * h)))
            width = h
        before = picture
        yield latents


multistep_midpoint: Solver = partial(_multistep_2, False)
multistep_heun: Solver = partial(_multistep_2, True)


def multistep_3(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM++ 3M SDE: a parabola through the last three answers."""
    known: list[torch.Tensor] = []
    widths: list[float] = []
    for level, following in pairwise(levels):
        picture = denoise(latents, level)
        if not following:
            yield picture
            continue
        h = math.log(level / following)
        wide = h * (1 + eta)
        latents = latents * math.exp(-wide) - picture * math.expm1(-wide)
        second = math.expm1(-wide) / wide + 1
        if known:
            slope = (picture - known[0]) * (h / widths[0])
            if len(known) == 2:
                near, far = widths[0] / h, widths[1] / h
                bend = (slope - (known[0] - known[1]) * (h / widths[1])) / (near + far)
                latents = latents + (slope + bend * near) * second - bend * (second / wide - 0.5)
            else:
                latents = latents + slope * second
        if eta:
            latents = latents + noise() * (following * math.sqrt(-math.expm1(-2 * eta * h)))
        known, widths = [picture, *known[:1]], [h, *widths[:1]]
        yield latents


class _Slopes:
    """The steps of DPM-Solver's three orders from one place; what one order has asked, the next does not ask again."""

    def __init__(self, denoise: Denoiser, latents: torch.Tensor, level: float) -> None:
        self._denoise = denoise
        self._latents = latents
        self._level = level
        self._asked: dict[float, torch.Tensor] = {}
        self._start = self._slope(latents, level)

    def _slope(self, latents: torch.Tensor, level: float) -> torch.Tensor:
        return (latents - self._denoise(latents, level)) / level

    def _change(self, part: float, h: float, ahead: torch.Tensor) -> torch.Tensor:
        """How much the slope has changed after a part of the step."""
        if part not in self._asked:
            self._asked[part] = self._slope(ahead, self._level * math.exp(-part * h)) - self._start
        return self._asked[part]

    def _plain(self, part: float, h: float) -> torch.Tensor:
        return self._latents - self._start * (self._level * math.exp(-part * h) * math.expm1(part * h))

    def step(self, h: float, order: int, part: float | None = None) -> torch.Tensor:
        """The latents after a step of width `h`."""
        result = self._plain(1, h)
        end = self._level * math.exp(-h)
        if order == 2:
            part = part or 1 / 2
            return result - self._change(part, h, self._plain(part, h)) * (end / (2 * part) * math.expm1(h))
        if order == 3:
            one, two = 1 / 3, 2 / 3
            first = self._change(one, h, self._plain(one, h))
            bent = self._level * math.exp(-two * h) * (two / one) * (math.expm1(two * h) / (two * h) - 1)
            second = self._change(two, h, self._plain(two, h) - first * bent)
            return result - second * (end / two * (math.expm1(h) / h - 1))
        return result


def fast(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM fast: the orders are chosen so that the network is asked once for each level, whatever the levels are."""
    count, begin, end = len(levels) - 1, levels[0], levels[-2]
    if count == 1:
        yield denoise(latents, begin)
        return
    steps = count // 3 + 1
    orders = [3] * (steps - 2) + [2, 1] if count % 3 == 0 else [3] * (steps - 1) + [count % 3]
    ratio = math.log(begin / end) / steps
    for place, order in enumerate(orders):
        level, following = begin * math.exp(-place * ratio), begin * math.exp(-(place + 1) * ratio)
        down, added = split(level, following, eta)
        down = max(down, end)
        added = math.sqrt(max(0.0, following**2 - down**2)) if added else 0.0
        latents = _Slopes(denoise, latents, level).step(math.log(level / down), order)
        if added:
            latents = latents + noise() * added
        yield latents


def adaptive(
    denoise: Denoiser, latents: torch.Tensor, levels: Sequence[float], noise: Noise, eta: float
) -> Iterator[torch.Tensor]:
    """DPM adaptive: steps as wide as two orders agree on; how many there are depends on the picture.

    The only one that waits for the device, to see how far the two are apart.
    """
    level, end, h = levels[0], levels[-2], _FIRST_WIDTH
    if len(levels) == 2:
        yield denoise(latents, level)
    before = latents
    for _ in range(_MOST_TRIES):
        if level <= end * (1 + 1e-5):
            return
        following = max(end, level * math.exp(-h))
        down, added = split(level, following, eta)
        down = max(down, end)
        added = math.sqrt(max(0.0, following**2 - down**2)) if added else 0.0
        slopes = _Slopes(denoise, latents, level)
        width = math.log(level / down)
        low, high = slopes.step(width, 2, part=1 / 3), slopes.step(width, 3)
        tolerance = torch.clamp(torch.maximum(low.abs(), before.abs()) * _RELATIVE, min=_ABSOLUTE)
        error = float(((low - high) / tolerance).square().mean().sqrt())
        if not math.isfinite(error):
            return
        # No more than e times as wide, no less than a quarter or so: an arc tangent bounds the change.
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 3) - 1)
        if factor >= _ACCEPT:
            before, latents, level = low, high + noise() * added if added else high, following
            yield latents
        h *= factor
