"""One question to the simulation, and its answer in figures: waiting, nodes, money."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Settings
from darkroom.planner.simulation.streams import Duration
from darkroom.planner.simulation.together import simulate_together

PERCENTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Price:
    """What a node's hour costs, on demand and as Spot, how many GPUs it has, and what a request to a queue costs.

    `hazard`: how many times an hour EC2 takes such a Spot node back; None: as the simulation's settings have it.
    """

    instance_type: str
    on_demand: float
    spot: float
    request: float = 0.0
    hazard: float | None = None
    gpus: int = 1


@dataclass(frozen=True)
class Run:
    """A run's outcome with what it cost."""

    settings: Settings
    outcome: Outcome
    gpu_usd: float
    days: float
    # A run on nodes that others use too has tasks alone, and its pool nodes alone.
    has_tasks: bool = True
    has_nodes: bool = True

    @property
    def usd_per_month(self) -> float:
        """The GPU nodes of a month like this: 730 hours of it."""
        return self.gpu_usd / self.days * (730 / 24) if self.days else 0.0

    def figures(self) -> dict[str, Any]:
        """Everything, for programs; seconds unless a name says otherwise."""
        return {
            "days": round(self.days, 4),
            **(self._of_tasks() if self.has_tasks else {}),
            **(self._of_nodes() if self.has_nodes else {}),
        }

    def _of_tasks(self) -> dict[str, Any]:
        found = self.outcome
        return {
            "tasks": found.tasks,
            "unfinished": found.unfinished,
            "waiting": _shape(found.waits),
            **({"waiting_low_priority": _shape(found.low_waits)} if found.low_waits.count else {}),
            "total": _shape(found.totals),
            "deepest_queue": found.deepest,
            "most_replicas": found.replicas.most,
            "given_back": found.given_back,
            "gpu_hours_busy": round(found.busy_seconds / 3600, 4),
            "gpu_hours_switching": round(found.switch_seconds / 3600, 4),
        }

    def _of_nodes(self) -> dict[str, Any]:
        found = self.outcome
        return {
            "most_nodes": found.claims.most,
            "nodes_launched": found.nodes_launched,
            "launches_refused": found.launches_refused,
            "interruptions": found.interruptions,
            "gpu_hours_billed": round(found.billed_seconds / 3600, 4),
            "gpu_hours_busy": round(found.busy_seconds / 3600, 4),
            "duty": round(found.duty, 4),
            "gpu_usd": round(self.gpu_usd, 4),
            "gpu_usd_per_month": round(self.usd_per_month, 2),
        }


def run(
    arrivals: Iterator[float],
    service: Duration,
    settings: Settings,
    price: Price,
    *,
    seed: int = 1,
    until: float | None = None,
    models: Sequence[float] = (),
    low: float | None = None,
) -> Run:
    """Simulate, and say what it costs.

    `models` are shares of the tasks, one for each model. `low` is the share of low priority, where there is a queue for
    it.
    """
    return run_work(work_of(arrivals, service, seed, models, low), settings, price, seed=seed, until=until)


def run_work(work: Work, settings: Settings, price: Price, *, seed: int = 1, until: float | None = None) -> Run:
    """Simulate tasks that are there already, and say what it costs."""
    outcome = simulate(work, settings, seed, until)
    days = (until if until is not None else outcome.ended_at) / 86_400
    return Run(settings, outcome, cost_of(outcome, price), days)


def run_together(
    members: Mapping[str, tuple[Work, Settings]], price: Price, *, seed: int, until: float
) -> tuple[dict[str, Run], Run]:
    """Simulate runtimes that share a pool of nodes: each one's tasks, and the pool's nodes with what they cost."""
    found = simulate_together(members, seed, until)
    days = until / 86_400
    each = {name: Run(members[name][1], one, 0.0, days, has_nodes=False) for name, one in found.each.items()}
    settings = next(iter(members.values()))[1]
    return each, Run(settings, found.nodes, cost_of(found.nodes, price), days, has_tasks=False)


def work_of(
    arrivals: Iterator[float], service: Duration, seed: int, models: Sequence[float] = (), low: float | None = None
) -> Work:
    """The tasks of one runtime, each chance from a stream of its own."""
    kinds = _kinds(models, random.Random(seed + 2)) if len(models) > 1 else None  # noqa: S311
    toss = random.Random(seed + 3).random  # noqa: S311
    is_low = None if low is None else (toss() < low for _ in repeat(None))
    return Work(arrivals, service.stream(random.Random(seed + 1)), kinds, is_low)  # noqa: S311


def cost_of(outcome: Outcome, price: Price) -> float:
    """What the nodes of a run cost. A Spot node that EC2 takes back within its first hour costs nothing."""
    spot = outcome.spot_seconds - outcome.free_seconds
    return (spot * price.spot + (outcome.billed_seconds - outcome.spot_seconds) * price.on_demand) / 3600


def _kinds(shares: Sequence[float], chance: random.Random) -> Iterator[int]:
    numbers = range(len(shares))
    while True:
        yield from chance.choices(numbers, shares, k=4096)


def _shape(histogram: Any) -> dict[str, float]:
    found = {f"p{share * 100:g}": round(histogram.percentile(share), 3) for share in PERCENTILES}
    return {"mean": round(histogram.mean, 3), **found}
