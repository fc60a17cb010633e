"""What is done to the system, all of it drawn from one seed: the faults of runtimes and of AWS. Tasks: `tasks.py`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from darkroom.testing.fake_sdwebui import SdWebuiFault
from darkroom.testing.fault_proxy import AwsFault

# Found as a prompt, it makes the fake runtime fail for want of memory, whenever it is tried.
POISON_PROMPT = "poison"
MODELS = ("first.safetensors", "second.safetensors")

# By how often they happen beside each other; silence is rare, because it costs a client half a minute.
AWS_WEIGHTS = {
    AwsFault.ERROR: 4.0,
    AwsFault.UNAVAILABLE: 4.0,
    AwsFault.THROTTLED: 6.0,
    AwsFault.SLOW: 6.0,
    AwsFault.REFUSED: 4.0,
    AwsFault.LOST_ANSWER: 4.0,
    AwsFault.LATE_ERROR: 4.0,
    AwsFault.TORN: 2.0,
    AwsFault.SILENT: 0.3,
    AwsFault.LOST_CALL: 3.0,
    AwsFault.DENIED: 2.0,
    AwsFault.EXPIRED: 2.0,
    AwsFault.SKEWED: 1.0,
    AwsFault.CONFLICT: 2.0,
}
RUNTIME_WEIGHTS = {
    SdWebuiFault.ERROR: 5.0,
    SdWebuiFault.CUT: 4.0,
    SdWebuiFault.WRONG_MODEL: 3.0,
    SdWebuiFault.PARTIAL: 3.0,
    SdWebuiFault.GARBAGE: 3.0,
    SdWebuiFault.CRASH: 2.0,
    SdWebuiFault.HANG: 2.0,
    SdWebuiFault.DEAF: 0.7,
    SdWebuiFault.DEVICE_LOST: 0.7,
}


@dataclass(frozen=True)
class ChaosPlan:
    """How many tasks, how many agents, and how bad. Times are in seconds, rates are shares of requests."""

    seed: int
    tasks: int = 200
    agents: int = 2
    latency_seconds: float = 0.05
    visibility_seconds: int = 4
    aws_fault_rate: float = 0.04
    runtime_fault_rate: float = 0.06
    kill_every_seconds: float = 12.0  # of all agents: a task has five tries, and each kill uses up one of all held
    outage_every_seconds: float = 8.0
    longest_outage_seconds: float = 6.0
    doubled_rate: float = 0.05
    offloaded_rate: float = 0.03
    door_rate: float = 0.2
    link_rate: float = 0.03
    deadline_seconds: float = 120.0  # without an end that is told
    calm_share: float = field(default=0.97)

    def stream(self, name: str) -> random.Random:
        """A source of chance of its own for each part of the harness, so that none changes another's."""
        return random.Random(f"{self.seed}/{name}")


# A task that takes its runtime down twice, leaves it sick twice or fails twice in the same way is poison, so chance
# must not do that to a good one.
LETHAL = (
    SdWebuiFault.CRASH,
    SdWebuiFault.CUT,
    SdWebuiFault.DEAF,
    SdWebuiFault.DEVICE_LOST,
    SdWebuiFault.ERROR,
    SdWebuiFault.GARBAGE,
    SdWebuiFault.HANG,
    SdWebuiFault.WRONG_MODEL,
)


def runtime_faults(
    plan: ChaosPlan, runtime: int, is_calm: Callable[[], bool], struck: set[object]
) -> Callable[[dict[str, Any]], SdWebuiFault | None]:
    """What the generations of one runtime suffer: poison always, the others at random until it is calm.

    `struck`, which all runtimes of a run share, holds the seeds of the tasks that have had their share of it.
    """
    chance = plan.stream(f"runtime {runtime}")
    kinds, weights = list(RUNTIME_WEIGHTS), list(RUNTIME_WEIGHTS.values())

    def fault(body: dict[str, Any]) -> SdWebuiFault | None:
        drawn = chance.choices(kinds, weights)[0] if chance.random() < plan.runtime_fault_rate else None
        if body.get("prompt") == POISON_PROMPT:
            return SdWebuiFault.ERROR
        if is_calm() or (drawn in LETHAL and body.get("seed") in struck):
            return None
        if drawn in LETHAL:
            struck.add(body.get("seed"))
        return drawn

    return fault
