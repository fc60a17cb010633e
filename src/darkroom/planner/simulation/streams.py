"""Endless streams of numbers for a simulation: times between tasks, and how long each takes.

Each is made in pieces, so that a million of them need no memory to speak of and little time.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from darkroom.errors import SettingsError

_PIECE = 4096


@dataclass(frozen=True)
class Duration:
    """How long something takes: a mean in seconds and a shape.

    `kind` is constant, exponential, lognormal (with `spread`, its coefficient of variation) or seen, which draws from
    `seen`.
    """

    kind: str = "constant"
    mean: float = 1.5
    spread: float = 0.5
    seen: Sequence[float] = ()

    def with_mean(self, mean: float) -> Duration:
        """The same shape with another mean, as on a faster or slower device."""
        times = mean / self.mean
        return replace(self, mean=mean, seen=tuple(value * times for value in self.seen))

    def stream(self, chance: random.Random) -> Iterator[float]:
        """Such times, without end."""
        if self.kind == "constant":
            return repeat(self.mean)
        if self.kind == "seen":
            return _pieces(lambda: chance.choices(self.seen, k=_PIECE))
        if self.kind == "exponential":
            rate, draw = 1 / self.mean, chance.expovariate
            return _pieces(lambda: [draw(rate) for _ in range(_PIECE)])
        sigma = math.sqrt(math.log(1 + self.spread**2))
        mu, spin = math.log(self.mean) - sigma**2 / 2, chance.lognormvariate
        return _pieces(lambda: [spin(mu, sigma) for _ in range(_PIECE)])


def parse_duration(text: str) -> Duration:
    """What a person writes: `6`, `exponential:6`, or `lognormal:6:0.4`. Raises `SettingsError`."""
    kind, _, rest = text.partition(":") if ":" in text else ("constant", "", text)
    numbers = rest.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    fits = {"constant": (1,), "exponential": (1,), "lognormal": (1, 2)}
    if kind not in fits or len(values) not in fits[kind] or not all(0 < value < math.inf for value in values):
        raise SettingsError(
            f"{text!r} is no duration: write seconds above 0, as 6, exponential:6, or lognormal:6:0.4 "
            "(mean, and how far it strays as a share of it)"
        )
    return Duration(kind, values[0], values[1] if len(values) > 1 else 0.5)


def duration_of(seconds: Sequence[float]) -> Duration:
    """A duration as it was seen: drawn from what was measured. Raises `SettingsError` where nothing was."""
    kept = [value for value in seconds if value > 0]
    if not kept:
        raise SettingsError("no task says how long it took: the file needs device_seconds, or started_at and ended_at")
    return Duration("seen", sum(kept) / len(kept), 0.0, tuple(kept))


def poisson(rate: float, chance: random.Random, until: float = math.inf) -> Iterator[float]:
    """Moments of tasks that come by chance, so many a second on average."""
    draw, now = chance.expovariate, 0.0
    while now < until:
        piece = []
        for _ in range(_PIECE):
            now += draw(rate)
            piece.append(now)
        yield from piece if now < until else piece[: bisect_left(piece, until)]


def constant(rate: float, until: float = math.inf) -> Iterator[float]:
    """Moments at equal distances, so many a second."""
    index = 0
    while (at := index / rate) < until:
        yield at
        index += 1


def by_curve(rate_at: Callable[[float], float], highest: float, chance: random.Random, until: float) -> Iterator[float]:
    """Tasks by chance whose rate changes; it is never above `highest` a second."""
    draw, toss = chance.expovariate, chance.random
    now = 0.0
    while True:
        now += draw(highest)
        if now >= until:
            return
        if toss() * highest < rate_at(now):
            yield now


def _pieces(make: Callable[[], list[float]]) -> Iterator[float]:
    return chain.from_iterable(iter(make, None))
