"""Which settings are best: many are simulated with the same tasks, and the frontier of cost against waiting is kept.

What cannot be on the frontier is not simulated to its end. Pods that are always there have a price that is known
before; and a setting that is dearer and slower than another one over a first stretch of the traffic is left there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from darkroom.planner.run import Price, Run, run
from darkroom.planner.simulation.deployment import chart_behavior
from darkroom.planner.simulation.settings import Hpa, Settings, Spot
from darkroom.planner.simulation.streams import Duration

MONTH_HOURS = 730
_DAY = 86_400.0
WEEK = 168
# Working hours, in which a schedule may keep pods: 8 to 18, Monday to Friday.
OPEN, CLOSE = 8, 18
_FIRST_STRETCH = 0.25


@dataclass(frozen=True)
class Choice:
    """One combination of what can be set. `scheduled`: fewest pods in working hours, beside `minimum` at any hour."""

    queue_length: int
    minimum: int
    maximum: int
    cooldown: int
    spot: bool
    price: Price
    seconds: float | None = None
    scheduled: int = 0

    def settings(self, base: Settings) -> Settings:
        """The simulation's settings for it."""
        keda = replace(
            base.keda,
            queue_length=self.queue_length,
            minimum=self.minimum,
            maximum=self.maximum,
            cooldown=self.cooldown,
        )
        behavior = chart_behavior(self.maximum, self.cooldown, {})
        spot = base.spot if self.spot else Spot()
        schedule = working_hours(self.scheduled) if self.scheduled > self.minimum else base.schedule
        return replace(base, keda=keda, hpa=Hpa(behavior), spot=spot, schedule=schedule)

    @property
    def least_usd_per_month(self) -> float:
        """What its pods that are always there cost: it cannot be less."""
        hour = self.price.spot if self.spot else self.price.on_demand
        open_share = (CLOSE - OPEN) * 5 / WEEK
        always = self.minimum + max(0, self.scheduled - self.minimum) * open_share
        return always * hour * MONTH_HOURS


@dataclass(frozen=True)
class Point:
    """What a choice comes to."""

    choice: Choice
    usd_per_month: float
    p50: float
    p95: float
    duty: float
    unfinished: int

    def is_beaten_by(self, other: Point) -> bool:
        """Whether the other one is no worse in both, and better in one."""
        no_worse = other.usd_per_month <= self.usd_per_month and other.p95 <= self.p95
        return no_worse and (other.usd_per_month < self.usd_per_month or other.p95 < self.p95)


@dataclass(frozen=True)
class Demand:
    """What the settings are chosen for: when tasks come, how long each takes, for how long it is looked at."""

    arrivals: Sequence[float]
    service: Duration
    seconds: float
    seed: int = 1

    def part(self, share: float) -> Demand:
        """The first stretch of it."""
        until = self.seconds * share
        return replace(self, arrivals=[at for at in self.arrivals if at < until], seconds=until)


@dataclass(frozen=True)
class Advice:
    """What was found. `simulated` settings of `considered`; `frontier` from the cheapest to the fastest."""

    considered: int
    simulated: int
    points: Sequence[Point]
    frontier: Sequence[Point]
    now: Point

    def best(self, p95: float, budget: float | None) -> Point | None:
        """The cheapest that meets the target; None where none does within the budget."""
        fit = [point for point in self.frontier if point.p95 <= p95]
        if budget is not None:
            fit = [point for point in fit if point.usd_per_month <= budget]
        return min(fit, key=lambda point: point.usd_per_month, default=None)


def working_hours(pods: int) -> tuple[int, ...]:
    """Fewest pods for each hour of a week that begins on Monday."""
    return tuple(pods if hour // 24 < 5 and OPEN <= hour % 24 < CLOSE else 0 for hour in range(WEEK))


def choices(base: Settings, prices: Sequence[tuple[Price, float | None]], spot: bool) -> list[Choice]:
    """Every combination that is worth a look, the present one's neighbours among them."""
    lengths = sorted({1, 3, 10, 30, base.keda.queue_length})
    coolings = sorted({10, 60, 180, 300, 900, int(base.keda.cooldown)})
    most = sorted({5, base.keda.maximum})
    fewest = [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0), (2, 0), (4, 0), (8, 0)]
    if base.keda.minimum:
        fewest.append((base.keda.minimum, 0))
    found = [
        Choice(length, minimum, maximum, cooling, spot, price, seconds, scheduled)
        for length, cooling, maximum, (minimum, scheduled), (price, seconds) in itertools.product(
            lengths, coolings, most, fewest, prices
        )
        if max(minimum, scheduled) <= maximum
    ]
    return list(dict.fromkeys(found))


def advise(
    base: Settings, now: Choice, all_choices: Iterable[Choice], demand: Demand, budget: float | None, processes: int = 2
) -> Advice:
    """Look for the frontier. `budget` in USD a month leaves out what cannot be within twice of it."""
    wanted = list(dict.fromkeys([now, *all_choices]))
    affordable = [c for c in wanted if c == now or budget is None or c.least_usd_per_month <= 2 * budget]
    with _workers(processes, base, demand) as workers:
        first = list(workers.map(_try_short, affordable, chunksize=8))
        # A first stretch says what is hopeless, with room for what a stretch may hide.
        kept = [point.choice for point in first if point.choice == now or not _is_hopeless(point, first)]
        points = list(workers.map(_try_all, kept, chunksize=4))
    at_present = next(point for point in points if point.choice == now)
    return Advice(len(wanted), len(affordable), points, frontier_of(points), at_present)


def frontier_of(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats, from the cheapest to the fastest; what did not get its work done is none."""
    done = [point for point in points if point.unfinished <= max(2, 0.001 * len(points))]
    found: list[Point] = []
    for point in sorted(done or points, key=lambda point: (point.usd_per_month, point.p95)):
        if not found or point.p95 < found[-1].p95:
            found.append(point)
    return found


def _is_hopeless(point: Point, others: Sequence[Point]) -> bool:
    return any(other.usd_per_month < 0.9 * point.usd_per_month and other.p95 < 0.9 * point.p95 for other in others)


class _Shared:
    """What each worker process keeps: it is the same for every choice."""

    base: Settings
    demand: Demand
    short: Demand


def _prepare(base: Settings, demand: Demand) -> None:
    _Shared.base, _Shared.demand, _Shared.short = base, demand, demand.part(_FIRST_STRETCH)


def _workers(processes: int, base: Settings, demand: Demand) -> ProcessPoolExecutor:
    # Fresh processes: a fork of one with threads may hang.
    count = max(1, min(processes, os.cpu_count() or 1))
    return ProcessPoolExecutor(count, get_context("spawn"), _prepare, (base, demand))


def _try_short(choice: Choice) -> Point:
    return evaluate(choice, _Shared.base, _Shared.short)


def _try_all(choice: Choice) -> Point:
    return evaluate(choice, _Shared.base, _Shared.demand)


def evaluate(choice: Choice, base: Settings, demand: Demand) -> Point:
    """Simulate one choice."""
    found = run_choice(choice, base, demand)
    waits = found.outcome.waits
    return Point(
        choice,
        round(found.usd_per_month, 2),
        waits.percentile(0.5),
        waits.percentile(0.95),
        found.outcome.duty,
        found.outcome.unfinished,
    )


def run_choice(choice: Choice, base: Settings, demand: Demand) -> Run:
    """The whole run of one choice."""
    service = demand.service if choice.seconds is None else Duration(mean=choice.seconds)
    return run(
        iter(demand.arrivals),
        service,
        choice.settings(base),
        choice.price,
        seed=demand.seed,
        until=max(demand.seconds, 1.0),
    )
