"""Several runtimes on one pool of nodes: each has its queue and controllers, and all see each other's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import RuntimeRun
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Settings
from darkroom.planner.simulation.shared_pool import SharedPool
from darkroom.planner.simulation.timeline import follow


@dataclass(frozen=True)
class Together:
    """Each runtime's tasks, waiting and pods; and the nodes, which are nobody's: claims, seconds, interruptions."""

    each: Mapping[str, Outcome]
    nodes: Outcome


def simulate_together(members: Mapping[str, tuple[Work, Settings]], seed: int, until: float) -> Together:
    """Run all of them for so many seconds. The pool's settings (Karpenter, Spot, boot) are the first one's."""
    settings = next(iter(members.values()))[1]
    shared = SharedPool(settings, seed)
    runs = {name: RuntimeRun(work, own, seed, until, shared) for name, (work, own) in members.items()}
    for one in runs.values():
        one.begin()
    now = follow(list(runs.values()), shared.agenda, until)
    outcomes = {name: one.closed(now) for name, one in runs.items()}
    shared.pool.close(until)
    shared.outcome.ended_at = until
    shared.outcome.busy_seconds = sum(one.busy_seconds for one in outcomes.values())
    return Together(outcomes, shared.outcome)
