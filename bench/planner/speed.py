"""How fast the planner is: a million tasks, a month of a daily curve with bursts, and the frontier of 200 settings.

    python bench/planner/speed.py

Expected: a million tasks, controllers and all, in under 5 s on one core with flat memory; the month in seconds; the
frontier in under 25 s on two cores.
"""

from __future__ import annotations

import heapq
import os
import random
import resource
import time
from dataclasses import replace
from itertools import islice

from darkroom.config.loader import parse_config
from darkroom.planner.advice import advise
from darkroom.planner.choice import Choice, Demand
from darkroom.planner.neighbours import choices
from darkroom.planner.run import Price, run
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.deployment import settings_of
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.streams import Duration, poisson
from darkroom.planner.traffic import DAY, Traffic

PRICE = Price("g6.2xlarge", 0.9776, 0.41, 0.4e-6)
WAYS = ((True, True), (False, True))


def main() -> None:
    """Measure and print."""
    config = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")
    base = settings_of(config, config.models_runtime[0])
    for tasks in (100_000, 1_000_000):
        began = _now()
        moments = islice(poisson(0.8 * 20 / 6, random.Random(1)), tasks)  # noqa: S311
        found = simulate(Work(moments, Duration("exponential", 6.0).stream(random.Random(2))), base)  # noqa: S311
        print(
            f"{found.tasks:,} tasks, up to {found.claims.most} nodes: {_since(began)}, "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
        )
    began = _now()
    month = heapq.merge(Traffic("daily", 8000.0, 30.0).arrivals(1), Traffic("bursty", 2000.0, 30.0).arrivals(2))
    one = run(month, Duration(mean=6.0), base, PRICE, until=30 * DAY)
    print(f"a month, {one.outcome.tasks:,} tasks of a daily curve with bursts: {_since(began)}")
    began = _now()
    moments = list(Traffic("office", 1000.0, 7.0).arrivals(1))
    now = Choice(base.keda.queue_length, 0, base.keda.maximum, int(base.keda.cooldown), True, PRICE)
    demand = Demand(moments, Duration(mean=6.0), 7 * DAY)
    found_ = advise(replace(base), now, choices(base, [(PRICE, None)], True), demand, None, ways=WAYS)
    print(f"the frontier of {found_.simulated} settings, {len(moments):,} tasks in a week: {_since(began)}")


def _now() -> tuple[float, float]:
    """By the clock, and of processors, those of worker processes that have ended among them."""
    spent = os.times()
    return time.perf_counter(), spent.user + spent.system + spent.children_user + spent.children_system


def _since(began: tuple[float, float]) -> str:
    """Where others use the processors as well, the second figure is the one to go by."""
    clock, processor = _now()
    return f"{clock - began[0]:.1f} s ({processor - began[1]:.1f} s of a processor)"


if __name__ == "__main__":
    main()
