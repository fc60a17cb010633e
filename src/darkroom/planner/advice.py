"""Which settings are best: many are simulated with the same tasks, and the frontier of cost against waiting is kept.

A wide grid is tried first, and then, in two rounds, what lies beside the frontier. What cannot be on the frontier is
not simulated to its end: pods that are always there have a price that is known before; and a setting that is dearer or
slower than another one, and no better, over a first stretch of the traffic is left there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context

from darkroom.planner.choice import Choice, Demand, Point, evaluate
from darkroom.planner.neighbours import beside
from darkroom.planner.simulation.settings import Settings

# How much of the tasks a first stretch has: a quarter, and not fewer than tell anything.
_FIRST_STRETCH, _FEWEST_TASKS = 0.25, 1_500
_ROUNDS = 2
# What is around so many points of the frontier is looked at in each round; more would take too long.
_AROUND = 8
_CHUNK = 4  # choices that a process is handed at once
Each = Callable[[Callable[[Choice], Point], Sequence[Choice]], list[Point]]


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


def advise(
    base: Settings,
    now: Choice,
    all_choices: Iterable[Choice],
    demand: Demand,
    budget: float | None,
    processes: int = 2,
    ways: Sequence[tuple[bool, bool]] = (),
) -> Advice:
    """Look for the frontier. `budget` in USD a month leaves out what cannot be within twice of it.

    `ways` to buy nodes are tried beside the frontier's; empty: as the choices have it, and nothing beside them.
    """
    with _workers(processes, base, demand) as each:
        search = _Search(each, now, budget, is_short=_first_stretch(demand) >= 1)
        search.add([now, *all_choices], room=0.1)
        for _ in range(_ROUNDS if ways else 0):
            search.add(beside((point.choice for point in _spread(frontier_of(search.points))), ways), room=0.03)
    at_present = next(point for point in search.points if point.choice == now)
    return Advice(len(search.seen), len(search.stretches), search.points, frontier_of(search.points), at_present)


def _spread(frontier: Sequence[Point]) -> list[Point]:
    """So many points of the frontier as can be looked around, from its one end to its other."""
    if len(frontier) <= _AROUND:
        return list(frontier)
    return [frontier[round(index * (len(frontier) - 1) / (_AROUND - 1))] for index in range(_AROUND)]


class _Search:
    """What was looked at until now: `seen` choices, `stretches` simulated to the first stretch, `points` to the end."""

    def __init__(self, each: Each, now: Choice, budget: float | None, is_short: bool) -> None:
        self._each = each
        self._is_short = is_short
        self._now = now
        self._budget = budget
        self.seen: dict[Choice, None] = {}
        self.stretches: list[Point] = []
        self.points: list[Point] = []

    def add(self, wanted: Iterable[Choice], room: float) -> None:
        """Simulate those that are new, and to their end those that may be on the frontier.

        `room` is by what share a first stretch may hide that they are better.
        """
        new = [choice for choice in dict.fromkeys(wanted) if choice not in self.seen]
        self.seen.update(dict.fromkeys(new))
        affordable = [c for c in new if c == self._now or self._budget is None or c.least_usd_per_month <= self._most]
        stretches = self._each(_try_short, affordable)
        self.stretches += stretches
        if self._is_short:  # the first stretch is all of it
            self.points += stretches
            return
        edge = frontier_of(self.stretches)
        kept = [one.choice for one in stretches if one.choice == self._now or not _is_hopeless(one, edge, room)]
        self.points += self._each(_try_all, kept)

    @property
    def _most(self) -> float:
        return 2 * (self._budget or 0.0)


def frontier_of(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats, from the cheapest to the fastest; what did not get its work done is none."""
    done = [point for point in points if point.unfinished <= max(2, 0.001 * len(points))]
    found: list[Point] = []
    for point in sorted(done or points, key=lambda point: (point.usd_per_month, point.p95)):
        if not found or point.p95 < found[-1].p95:
            found.append(point)
    return found


def _is_hopeless(point: Point, others: Sequence[Point], room: float) -> bool:
    """Whether another one is better by `room` in both, or by three times as much in one and no worse in the other.

    No worse means the 99th percentile as well: what one task of fifty meets now, one of twenty may meet later.
    """
    usd, p95, both, one = point.usd_per_month, point.p95, 1 - room, 1 - 3 * room
    return any(
        (other.usd_per_month < both * usd and other.p95 < both * p95)
        or (other.usd_per_month < one * usd and other.p95 <= p95 and other.p99 <= point.p99)
        or (other.p95 < one * p95 and other.usd_per_month <= usd)
        for other in others
    )


class _Shared:
    """What each worker process keeps: it is the same for every choice."""

    base: Settings
    demand: Demand
    short: Demand


def _first_stretch(demand: Demand) -> float:
    return min(1.0, max(_FIRST_STRETCH, _FEWEST_TASKS / max(1, len(demand.arrivals))))


def _prepare(base: Settings, demand: Demand) -> None:
    share = _first_stretch(demand)
    _Shared.base, _Shared.demand, _Shared.short = base, demand, demand.part(share) if share < 1 else demand


@contextmanager
def _workers(processes: int, base: Settings, demand: Demand) -> Iterator[Each]:
    """What tries many choices: side by side in so many processes, or one after another in this one."""
    count = min(processes, os.cpu_count() or 1)
    if count <= 1:
        _prepare(base, demand)
        yield lambda evaluated, some: [evaluated(choice) for choice in some]
        return
    # Fresh processes: a fork of one with threads may hang.
    with ProcessPoolExecutor(count, get_context("spawn"), _prepare, (base, demand)) as workers:

        def each(evaluated: Callable[[Choice], Point], some: Sequence[Choice]) -> list[Point]:
            chunks = [some[first : first + _CHUNK] for first in range(0, len(some), _CHUNK)]
            with _held_signals():
                tried = [workers.submit(_try_each, evaluated, chunk) for chunk in chunks]
            return [point for future in tried for point in future.result()]

        others = set(active_children())
        try:
            yield each
        except BaseException:  # nobody waits for what they are at
            for worker in set(active_children()) - others:
                worker.terminate()
            raise


@contextmanager
def _held_signals() -> Iterator[None]:
    """Processes that are started meanwhile hear no Ctrl-C, which this process is there to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _try_each(evaluated: Callable[[Choice], Point], some: Sequence[Choice]) -> list[Point]:
    return [evaluated(choice) for choice in some]


def _try_short(choice: Choice) -> Point:
    return evaluate(choice, _Shared.base, _Shared.short)


def _try_all(choice: Choice) -> Point:
    return evaluate(choice, _Shared.base, _Shared.demand)
