"""The noise levels that a picture walks through, by SD Web UI's names of their spacings.

A level is the noise's standard deviation beside that of the picture (sigma): 14.6 is nothing but noise, 0 the picture.
All of this is plain numbers on the host, so that walking through them never waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from darkroom.inference.engine import Scheduler

#: How Stable Diffusion was trained: the noise's variance grows from the first to the second in so many steps.
TRAINING_STEPS = 1000
_FIRST_BETA, _LAST_BETA = 0.00085, 0.012

#: How Karras et al. (2022) bend the spacing.
_RHO = 7.0
#: Latent consistency models were distilled on every so manyth training step.
_CONSISTENCY_STRIDE = 20
#: Sabour et al., "Align Your Steps" (2024): levels found by optimisation, for ten steps; between them log-linear.
_ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
_ALIGNED_XL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)

Levels = list[float]


@cache
def _trained() -> tuple[float, ...]:
    betas = np.linspace(_FIRST_BETA**0.5, _LAST_BETA**0.5, TRAINING_STEPS) ** 2
    kept = np.cumprod(1 - betas)
    return tuple(map(float, np.sqrt((1 - kept) / kept)))


def level_at(step: float) -> float:
    """The level at a training step, 0 to 999; between two steps, as their logarithms have it."""
    return float(np.exp(np.interp(step, np.arange(TRAINING_STEPS), np.log(_trained()))))


def step_at(level: float) -> float:
    """The training step of a level: what the network is told. The inverse of `level_at`."""
    return float(np.interp(math.log(level), np.log(_trained()), np.arange(TRAINING_STEPS)))


def _span() -> tuple[float, float]:
    return _trained()[-1], _trained()[0]


def _at(steps: Sequence[float]) -> Levels:
    return [level_at(step) for step in steps]


def uniform(count: int) -> Levels:
    """Equal distances between training steps, both ends among them."""
    return _at([float(step) for step in np.linspace(TRAINING_STEPS - 1, 0, count)])


def trailing(count: int) -> Levels:
    """Equal distances that end one step above nothing: what turbo models were trained for."""
    return _at([float(step) for step in np.linspace(TRAINING_STEPS - 1, 0, count + 1)[:-1]])


def karras(count: int, largest: float | None = None, smallest: float | None = None) -> Levels:
    """Dense where there is little noise, from `largest` to `smallest`."""
    high, low = _span()
    high, low = (largest or high) ** (1 / _RHO), (smallest or low) ** (1 / _RHO)
    return [float(high + part * (low - high)) ** _RHO for part in np.linspace(0, 1, count)]


def exponential(count: int) -> Levels:
    """Equal ratios."""
    high, low = _span()
    return [float(level) for level in np.exp(np.linspace(math.log(high), math.log(low), count))]


def _simple(count: int) -> Levels:
    return [_trained()[-(1 + int(place * TRAINING_STEPS / count))] for place in range(count)]


def _beta(count: int) -> Levels:
    """Dense at both ends: quantiles of the beta distribution (0.6, 0.6), found by summing its density.

    With t = sin² the density has no poles: what is summed is (sin cos)^0.2.
    """
    angle = np.linspace(0, math.pi / 2, 20_001)
    density = (np.sin(angle) * np.cos(angle)) ** (2 * 0.6 - 1)
    share = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    quantiles = np.sin(np.interp(1 - np.linspace(0, 1, count), share / share[-1], angle)) ** 2
    high, low = _span()
    return [float(low + part * (high - low)) for part in quantiles]


def _kl_optimal(count: int) -> Levels:
    high, low = _span()
    return [
        math.tan(part * math.atan(low) + (1 - part) * math.atan(high)) for part in map(float, np.linspace(0, 1, count))
    ]


def _aligned(count: int, table: Sequence[float]) -> Levels:
    places = np.linspace(0, 1, count)
    return [float(level) for level in np.exp(np.interp(places, np.linspace(0, 1, len(table)), np.log(table)))]


def consistent(count: int) -> Levels:
    """For latent consistency models: training steps that they were distilled on."""
    stride = _CONSISTENCY_STRIDE
    steps = np.linspace(TRAINING_STEPS, 0, count + 1)[:-1]
    return _at([math.ceil(step / stride) * stride - 1 for step in steps])


def even_steps(count: int) -> Levels:
    """What DDIM, PLMS and UniPC were published with: every so manyth training step, the last one left out."""
    return _at([1 + place * TRAINING_STEPS / count for place in reversed(range(count))])


def with_restarts(count: int) -> Levels:
    """Karras' levels that go back to level 2 and down again, as Xu et al. (2023) have it, in about `count` steps."""
    if count < 20:
        return karras(count)
    again, times = (count // 4, 2) if count >= 36 else (9, 1)
    main = karras(count - again * times)
    turn = min(range(len(main)), key=lambda place: abs(main[place] - 0.1))
    loop = karras(again, largest=2.0, smallest=main[turn])
    return main[: turn + 1] + loop * times + main[turn + 1 :]


_SPACINGS: dict[str, tuple[str, Callable[[int], Levels]]] = {
    "uniform": ("Uniform", uniform),
    "karras": ("Karras", karras),
    "exponential": ("Exponential", exponential),
    "polyexponential": ("Polyexponential", exponential),  # the same with its power of 1, SD Web UI's default
    "sgm_uniform": ("SGM Uniform", trailing),
    "kl_optimal": ("KL Optimal", _kl_optimal),
    "align_your_steps": ("Align Your Steps", lambda count: _aligned(count, _ALIGNED)),
    "simple": ("Simple", _simple),
    "normal": ("Normal", uniform),
    "ddim": ("DDIM", even_steps),
    "beta": ("Beta", _beta),
}

#: What SD Web UI (1.10) lists, `Automatic` left out: that is whatever suits the sampler.
SCHEDULERS = tuple(Scheduler(name, label) for name, (label, _) in _SPACINGS.items())
_BY_LABEL = dict(_SPACINGS.values())


def spaced(label: str, count: int, *, extra_large: bool = False) -> Levels:
    """`count` levels by a scheduler's label, falling; the walk's end, 0, is not among them."""
    if label == "Align Your Steps" and extra_large:
        return _aligned(count, _ALIGNED_XL)
    return _BY_LABEL[label](count)
