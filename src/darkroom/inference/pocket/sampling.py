"""Walks from noise to a clean latent along the straight lines of a flow-matching model.

A latent at noise level t is (1 - t) · clean + t · noise. All samplers work on a function that predicts the clean
latent, so a step from t to s keeps the predicted noise and lowers its share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from darkroom.inference.engine import Sampler
from darkroom.inference.pocket.network import Array

Predict = Callable[[Array, float], Array]
Noise = Callable[[], Array]

SAMPLERS = (
    Sampler("Euler", ("k_euler",)),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral")),
    Sampler("Heun", ("k_heun",), {"second_order": "True"}),
    Sampler("DPM++ 2M", ("k_dpmpp_2m",)),
    Sampler("DPM++ 2M Karras", ("k_dpmpp_2m_ka",), {"scheduler": "karras"}),
    Sampler("DDIM", ("ddim",)),
    Sampler("LCM", ("k_lcm",)),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is done: the latent after it, and the clean one that the model saw."""

    number: int
    latent: Array
    clean: Array


def walk(sampler: str, levels: list[float], latent: Array, predict: Predict, noise: Noise) -> Iterator[Step]:
    """Take every step. The last one's latent is the result; its noise level is 0.

    `noise` gives fresh normal noise of the latent's shape, for the samplers that add some on the way.
    """
    previous: tuple[float, Array] | None = None
    for number, (here, there) in enumerate(pairwise(levels), start=1):
        clean = predict(latent, here)
        direction = (latent - (1 - here) * clean) / here
        if there == 0:
            latent = clean
        elif sampler == "LCM":
            latent = _mix(clean, noise(), there)
        elif sampler == "Euler a":
            latent = _ancestral(clean, direction, here, there, noise)
        elif sampler == "Heun":
            ahead = predict(_mix(clean, direction, there), there)
            mean = (clean + ahead) / 2
            latent = _mix(mean, (latent - (1 - here) * mean) / here, there)
        elif sampler.startswith("DPM++ 2M") and previous is not None and here < 1:
            guess = clean + (clean - previous[1]) * _extrapolation(previous[0], here, there)
            latent = _mix(guess, (latent - (1 - here) * guess) / here, there)
        else:  # Euler and DDIM without noise are the same line here; DPM++ 2M's first step has nothing to look back on
            latent = _mix(clean, direction, there)
        previous = (here, clean)
        yield Step(number, latent, clean)


def _mix(clean: Array, noise: Array, level: float) -> Array:
    return (1 - level) * clean + level * noise


def _ancestral(clean: Array, direction: Array, here: float, there: float, noise: Noise) -> Array:
    """Half of the noise that is left after the step is replaced by fresh noise, keeping its variance."""
    share = there / here
    fresh = math.sqrt(1 - share * share) if share < 1 else 0.0
    return _mix(clean, math.sqrt(1 - fresh * fresh) * direction + fresh * noise(), there)


def _extrapolation(before: float, here: float, there: float) -> float:
    """DPM-Solver++'s second-order weight: how far ahead the change since the last step is carried on.

    Lu et al. (2022), with the logarithm of the signal-to-noise ratio as time.
    """
    snr = [math.log((1 - level) / level) for level in (min(before, 0.9999), here, there)]
    return 0.5 * (snr[2] - snr[1]) / (snr[1] - snr[0])
