"""What is done to the system, all of it drawn from one seed: tasks, and the faults of runtimes and of AWS."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from darkroom.testing.fake_sdwebui import SdWebuiFault
from darkroom.testing.fault_proxy import AwsFault

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


class Fate(StrEnum):
    """How a task has to end, whatever happens on its way."""

    GOOD = "good"  # with its pictures
    REFUSED = "refused"  # as failed, on its first try: the request is bad
    POISON = "poison"  # as failed, when it has failed in the same way again, and among the dead letters
    UNREADABLE = "unreadable"  # as failed, and among the dead letters, untried
    MOVED = "moved"  # the same: SQS has set it aside by itself, and told nobody


_MOVED_EVERY = 50
# Found in a prompt, it makes the fake runtime fail.
POISON_PROMPT = "poison"


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
    deadline_seconds: float = 90.0
    calm_share: float = field(default=0.97)

    def stream(self, name: str) -> random.Random:
        """A source of chance of its own for each part of the harness, so that none changes another's."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311


@dataclass(frozen=True)
class PlannedTask:
    """One submission: what is asked for, how it has to end, and how it is sent."""

    task_id: str
    submission_id: str
    fate: Fate
    pictures: int
    content: dict[str, Any]
    doubled: bool
    offloaded: bool


def planned_tasks(plan: ChaosPlan) -> list[PlannedTask]:
    """The tasks of a plan: nearly all are good, and there is some of everything else."""
    chance = plan.stream("tasks")
    fates = [Fate.GOOD, Fate.REFUSED, Fate.POISON, Fate.UNREADABLE]
    tasks = []
    for number in range(plan.tasks):
        # Some of everything in a run of any size, and early enough for a poisoned task to use up its tries.
        fate = fates[number] if number < len(fates) else chance.choices(fates, [100, 2, 1, 1])[0]
        if number % _MOVED_EVERY == len(fates):
            fate = Fate.MOVED
        pictures = chance.choice([1, 1, 1, 2])
        content: dict[str, Any] = {
            "prompt": POISON_PROMPT if fate is Fate.POISON else f"picture {number}",
            "seed": number,
            "steps": 4,
            "batch_size": pictures,
        }
        if chance.random() < 0.5:
            content["override_settings"] = {"sd_model_checkpoint": chance.choice(MODELS)}
        if fate is Fate.REFUSED:
            content["sampler_name"] = "no such sampler"
        tasks.append(
            PlannedTask(
                task_id=f"task-{number}",
                submission_id=f"{chance.getrandbits(128):032x}",
                fate=fate,
                pictures=pictures,
                content=content,
                doubled=chance.random() < plan.doubled_rate,
                offloaded=chance.random() < plan.offloaded_rate,
            )
        )
    return tasks


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
