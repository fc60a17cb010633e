"""What arrives: shapes of traffic by name, and traces of traffic that there was."""

from __future__ import annotations

import itertools
import json
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError
from darkroom.planner.simulation.streams import by_curve, constant, poisson
from darkroom.planner.usage import Used, read_usage

DAY, HOUR = 86_400.0, 3_600.0
SHAPES = ("steady", "constant", "daily", "office", "bursty")
# Office hours are nine to six, Monday to Friday; outside them, one task in forty comes.
_OPENS, _CLOSES, _OUTSIDE = 9, 18, 0.025
_BURST_SECONDS = 20.0
# Twenty minutes of simulation; what more would tell, fewer days tell as well.
MOST_TASKS = 200_000_000


@dataclass(frozen=True)
class Traffic:
    """So many tasks a day on average, in one of `SHAPES`, for so many days from a Monday on.

    steady: by chance, always alike. constant: at equal distances. daily: by chance, most in the afternoon, fewest at
    night. office: by chance, in working hours. bursty: in bursts of about `burst` tasks within seconds, at any hour.
    """

    shape: str = "steady"
    per_day: float = 1000.0
    days: float = 1.0
    burst: int = 20

    def arrivals(self, seed: int) -> Iterator[float]:
        """The moments, in seconds from the beginning. Raises `SettingsError` for what cannot be."""
        if self.shape not in SHAPES:
            raise SettingsError(f"{self.shape} is no shape of traffic: use {', '.join(SHAPES)}, or a file with times")
        if not (0 < self.per_day < math.inf and 0 < self.days < math.inf and self.burst >= 1):
            raise SettingsError("tasks a day, days and tasks of a burst must be above 0")
        if self.per_day * self.days > MOST_TASKS:
            raise SettingsError(
                f"{self.per_day:,.0f} tasks a day for {self.days:g} days are more than the {MOST_TASKS:,} that are "
                "simulated at most: give fewer --days"
            )
        chance = random.Random(seed)  # noqa: S311
        rate, until = self.per_day / DAY, self.days * DAY
        if self.shape == "constant":
            return constant(rate, until)
        if self.shape == "steady":
            return poisson(rate, chance, until)
        if self.shape == "bursty":
            return _bursts(rate, self.burst, chance, until)
        curve = _office if self.shape == "office" else _afternoon
        return by_curve(lambda at: rate * curve(at), rate * _highest(curve), chance, until)


def _afternoon(at: float) -> float:
    """Most at 15 h, a tenth of the mean at 3 h."""
    return 1 + 0.9 * math.cos((at / DAY - 15 / 24) * 2 * math.pi)


def _office(at: float) -> float:
    day, hour = at / DAY % 7, at % DAY / HOUR
    if day < 5 and _OPENS <= hour < _CLOSES:
        return _IN_OFFICE
    return _IN_OFFICE * _OUTSIDE


# So that the mean over a week is 1.
_IN_OFFICE = 168 / (5 * (_CLOSES - _OPENS) + _OUTSIDE * (168 - 5 * (_CLOSES - _OPENS)))


def _highest(curve: Callable[[float], float]) -> float:
    return max(curve(at * HOUR / 4) for at in range(4 * 168))


def _bursts(rate: float, size: int, chance: random.Random, until: float) -> Iterator[float]:
    """Bursts by chance, each of half to one and a half times `size`, within `_BURST_SECONDS`."""
    moments: list[float] = []
    for start in poisson(rate / size, chance, until):
        # What is before this burst's start cannot be overtaken any more.
        ready = bisect_left(moments, start)
        yield from moments[:ready]
        count = chance.randint(max(1, size // 2), size + size // 2)
        moments = sorted([*moments[ready:], *(start + chance.random() * _BURST_SECONDS for _ in range(count))])
    yield from (at for at in moments if at < until)


def read_trace(path: Path, seed: int = 1) -> list[Used]:
    """Tasks that there were: a list of times, task records, a usage export, or CloudWatch's answer.

    Raises `SettingsError` that says what is wrong with it.
    """
    found = _from_cloudwatch(path, seed) or read_usage(path)
    if found[-1].created_at - found[0].created_at > 400 * DAY:
        raise SettingsError(
            f"{path} spans more than 400 days: are its times in milliseconds? Give seconds, or ISO 8601"
        )
    return found


def _moment(when: object) -> float:
    moment = datetime.fromisoformat(str(when))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _from_cloudwatch(path: Path, seed: int) -> list[Used] | None:
    """The answer of `get-metric-statistics` or `get-metric-data`, whose counts are spread over their periods."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    if not {"Datapoints", "MetricDataResults"} & set(document):
        return None
    points: list[tuple[Any, Any]] = []
    try:
        for entry in document.get("Datapoints") or ():
            points.append((entry.get("Timestamp"), entry.get("Sum")))
        for result in document.get("MetricDataResults") or ():
            points += zip(result.get("Timestamps", []), result.get("Values", []), strict=False)
        counts = sorted((_moment(when), round(float(count))) for when, count in points)
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise SettingsError(f"{path}: CloudWatch's answer needs Timestamp and Sum: ask with --statistics Sum") from None
    if any(count < 0 for _, count in counts):
        raise SettingsError(f"{path}: CloudWatch counts no less than nothing: a Sum is below 0")
    if (messages := sum(count for _, count in counts)) > MOST_TASKS:
        raise SettingsError(
            f"{path} counts {messages:,} messages, and at most {MOST_TASKS:,} are simulated: ask for a shorter time"
        )
    if messages == 0:
        raise SettingsError(
            f"{path}: CloudWatch counted no message: ask for NumberOfMessagesSent of the runtime's queue"
        )
    period = min((b - a for (a, _), (b, _) in itertools.pairwise(counts)), default=60.0)
    chance = random.Random(seed)  # noqa: S311
    return [Used(at) for at in sorted(start + chance.random() * period for start, n in counts for _ in range(n))]
