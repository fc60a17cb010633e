"""How the pocket model's noise levels are spaced, by SD Web UI's names.

A level t is the noise's share in the latent; `sigma` is t / (1 - t), the noise beside the picture, in which most
spacings were published.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.inference.engine import Scheduler

Array = NDArray[np.float64]

#: Karras et al. (2022) space noise levels evenly in sigma ** (1 / 7).
KARRAS_RHO = 7.0
#: Beyond these a latent is nothing but noise, or nothing but the picture.
SIGMAS = (0.03, 80.0)
#: Sabour et al., "Align Your Steps" (2024): levels found by optimisation, for ten steps; between them log-linear.
_ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def _uniform(steps: int) -> list[float]:
    return [1 - index / steps for index in range(steps)]


def _karras(places: Array) -> Array:
    low, high = (sigma ** (1 / KARRAS_RHO) for sigma in SIGMAS)
    sigmas: Array = (high + (low - high) * places) ** KARRAS_RHO
    return sigmas


def _exponential(places: Array) -> Array:
    low, high = map(math.log, SIGMAS)
    return np.exp(high + (low - high) * places)


def _kl_optimal(places: Array) -> Array:
    low, high = map(math.atan, SIGMAS)
    return np.tan(high + (low - high) * places)


def _aligned(places: Array) -> Array:
    return np.exp(np.interp(places, np.linspace(0, 1, len(_ALIGNED)), np.log(_ALIGNED)))


def _beta(steps: int) -> list[float]:
    """Dense at both ends: quantiles of the beta distribution (0.6, 0.6), found by summing its density.

    With t = sin² the density has no poles: what is summed is (sin cos)^0.2.
    """
    angle = np.linspace(0, math.pi / 2, 20_001)
    density = (np.sin(angle) * np.cos(angle)) ** (2 * 0.6 - 1)
    share = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    wanted = 1 - np.arange(steps) / steps
    return [float(level) for level in np.sin(np.interp(wanted, share / share[-1], angle)) ** 2]


def _in_sigmas(spacing: Callable[[Array], Array]) -> Callable[[int], list[float]]:
    def levels(steps: int) -> list[float]:
        sigmas = spacing(np.arange(steps) / max(1, steps - 1))
        return [1.0, *(float(sigma / (1 + sigma)) for sigma in sigmas[1:])]

    return levels


# For a model whose noise grows in a straight line, equal distances in time and in noise are one thing.
_SPACINGS: dict[str, tuple[str, Callable[[int], Sequence[float]]]] = {
    "uniform": ("Uniform", _uniform),
    "karras": ("Karras", _in_sigmas(_karras)),
    "exponential": ("Exponential", _in_sigmas(_exponential)),
    "polyexponential": ("Polyexponential", _in_sigmas(_exponential)),
    "sgm_uniform": ("SGM Uniform", _uniform),
    "kl_optimal": ("KL Optimal", _in_sigmas(_kl_optimal)),
    "align_your_steps": ("Align Your Steps", _in_sigmas(_aligned)),
    "simple": ("Simple", _uniform),
    "normal": ("Normal", _uniform),
    "ddim": ("DDIM", _uniform),
    "beta": ("Beta", _beta),
}
SCHEDULERS = tuple(Scheduler(name, label) for name, (label, _) in _SPACINGS.items())
_BY_LABEL = dict(_SPACINGS.values())


def noise_levels(steps: int, scheduler: str, strength: float = 1.0) -> list[float]:
    """`steps` + 1 falling noise levels that end at 0. A strength under 1 begins lower, with as many steps fewer."""
    levels = [*_BY_LABEL[scheduler](steps), 0.0]
    if strength >= 1:
        return levels
    kept = max(1, round(steps * strength))
    lower = [level for level in levels if level < strength][-kept:]
    return [strength, *lower]
