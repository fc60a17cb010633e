"""Which combinations of settings are worth a look: a wide grid first, and then whatever lies beside the best of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from darkroom.planner.choice import Choice
from darkroom.planner.run import Price
from darkroom.planner.simulation.settings import Settings

POLLINGS = (2, 5, 10, 15, 30)
_MOST_PODS = 100


def choices(
    base: Settings, prices: Sequence[tuple[Price, float | None]], spot: bool, fallback: bool = True
) -> list[Choice]:
    """The wide grid: what changes cost and waiting most, the present settings' neighbours among it."""
    lengths = sorted({1, 3, 10, 30, base.keda.queue_length})
    coolings = sorted({10, 60, 120, 300, 900, int(base.keda.cooldown)})
    most = sorted({5, base.keda.maximum})
    fewest = [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0), (2, 0), (4, 0), (8, 0)]
    if base.keda.minimum:
        fewest.append((base.keda.minimum, 0))
    polling = int(base.keda.polling)
    found = [
        Choice(length, minimum, maximum, cooling, spot, price, seconds, scheduled, polling, fallback)
        for length, cooling, maximum, (minimum, scheduled), (price, seconds) in itertools.product(
            lengths, coolings, most, fewest, prices
        )
        if max(minimum, scheduled) <= maximum
    ]
    return list(dict.fromkeys(found))


def beside(found: Iterable[Choice], ways: Sequence[tuple[bool, bool]]) -> list[Choice]:
    """What differs from one of these in one thing, by a step: each setting up and down, and each way to buy nodes.

    `ways` are those that config.yaml allows: whether Spot, and whether on demand where Spot has none.
    """
    return list(dict.fromkeys(step for one in found for step in _steps(one, ways)))


def _steps(one: Choice, ways: Sequence[tuple[bool, bool]]) -> Iterator[Choice]:
    for polling in POLLINGS:
        yield replace(one, polling=polling)
    for spot, fallback in ways:
        yield replace(one, spot=spot, fallback=fallback)
    for length in _around(one.queue_length):
        yield replace(one, queue_length=length)
    for cooldown in _around(one.cooldown):
        yield replace(one, cooldown=cooldown)
    for maximum in _around(one.maximum):
        if max(one.minimum, one.scheduled) <= maximum <= max(_MOST_PODS, one.maximum):
            yield replace(one, maximum=maximum)
    for minimum in (one.minimum - 1, one.minimum + 1):
        if 0 <= minimum <= one.maximum:
            yield replace(one, minimum=minimum)
    for scheduled in (one.scheduled - 1, one.scheduled + 1):
        if scheduled == 0 or one.minimum < scheduled <= one.maximum:
            yield replace(one, scheduled=scheduled)
    if one.scheduled:
        opens, closes = one.hours
        for hours in ((opens - 1, closes), (opens + 1, closes), (opens, closes - 1), (opens, closes + 1)):
            if 0 <= hours[0] < hours[1] <= 23:
                yield replace(one, hours=hours)


def _around(number: int) -> tuple[int, int]:
    """Half as much again, and as much less."""
    return max(1, min(number - 1, round(number / 1.5))), max(number + 1, round(number * 1.5))
