"""The tasks of a chaos run: what is asked for, how it is sent, and how it has to end."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.chaos.plan import MODELS, POISON_PROMPT, ChaosPlan


class Fate(StrEnum):
    """How a task has to end, whatever happens on its way."""

    GOOD = "good"  # with its pictures
    REFUSED = "refused"  # as failed: the runtime says what is wrong with the request
    POISON = "poison"  # as failed: the runtime fails at it, and the next task is well
    DEAD_LINK = "dead-link"  # as failed: the picture that it links to is not there, or never comes
    UNREADABLE = "unreadable"  # as failed, and among the dead letters, untried
    FOREIGN = "foreign"  # as failed: the picture that it links to is another caller's
    MOVED = "moved"  # the same: SQS has set it aside by itself, and told nobody


class Link(StrEnum):
    """How the server of a linked picture behaves (`links.py`), or whose a picture in the bucket is."""

    QUICK = "quick"
    DRIPPING = "dripping"  # a little at a time
    ENDLESS = "endless"  # a little at a time, for ever
    MISSING = "missing"  # 404
    OWN = "own"  # in the bucket, and its caller's own
    FOREIGN = "foreign"  # in the bucket, and another caller's


class Bad(StrEnum):
    """What is wrong with a request that a runtime refuses, or fails at."""

    STEPS = "steps"
    WIDTH = "width"
    OVERRIDE = "override"
    LEAK = "leak"  # an option of the wrong type, which stays behind on a server that was never told of it
    MEMORY = "memory"  # the device has too little, whatever is asked for
    SIZE = "size"  # more than the device has


_MOVED_EVERY = 50
_IN_THE_BUCKET = (Link.OWN, Link.FOREIGN)
# So that the seeds of a batch, or of two tasks that belong together, are no other task's.
_SEEDS_OF_A_NUMBER = 10
_SEEDS_OF_A_CALLER = 100_000_000
# Each has tasks of the same ids.
CALLERS = ("shop", "lab")
_DOORS_STORIES = ("plain", "plain", "cancelled", "replaced", "rivals")


@dataclass(frozen=True)
class PlannedTask:
    """One submission: what is asked for, how it has to end, and how it is sent.

    `caller` owns it, who may have called it as another caller has called one of its own.
    `by_door`: through the front door, as an application does it; `cancelled`: which then changes its mind. Tasks that
    share a `task_id` are one application's: after one that was cancelled comes the next, others go at once.
    """

    task_id: str
    submission_id: str
    fate: Fate
    pictures: int
    seed: int
    content: dict[str, Any]
    doubled: bool = False
    offloaded: bool = False
    by_door: bool = False
    cancelled: bool = False
    link: Link | None = None
    caller: str = ""

    @property
    def linked_caller(self) -> str | None:
        """Whose picture in the bucket it begins with; None where it begins with none from there."""
        if self.link not in _IN_THE_BUCKET:
            return None
        others = [caller for caller in CALLERS if caller != self.caller]
        return self.caller if self.link is Link.OWN else others[0]

    @property
    def context(self) -> dict[str, str]:
        """What its sender says beside it, and is told again."""
        return {"number": self.task_id, "caller": self.caller}


@dataclass(frozen=True)
class Submission:
    """What was really sent: by the front door, a task may become several, of which the caller heard of one.

    `accepted`: its caller was told so, and it has to end. `may_be_cancelled`: somebody has asked for that.
    """

    id: str
    task: PlannedTask
    accepted: bool = True
    may_be_cancelled: bool = False


def planned_tasks(plan: ChaosPlan) -> list[PlannedTask]:
    """The tasks of a plan: nearly all are good, and there is some of everything else."""
    # Side by side, so that two tasks of one id are there at the same time.
    of_callers = [_tasks_of(number, plan) for number in range(len(CALLERS))]
    return [task for side_by_side in zip(*of_callers, strict=True) for task in side_by_side]


def _tasks_of(caller: int, plan: ChaosPlan) -> list[PlannedTask]:
    chance = plan.stream(f"tasks of {CALLERS[caller]}")
    wanted = plan.tasks // len(CALLERS)
    tasks: list[PlannedTask] = []
    while len(tasks) < wanted:
        tasks.extend(_drawn(len(tasks), chance, plan))
    # No two tasks have a seed in common, though their ids be the same.
    first_seed = caller * _SEEDS_OF_A_CALLER
    return [_owned(task, CALLERS[caller], first_seed) for task in tasks[:wanted]]


def _owned(task: PlannedTask, caller: str, first_seed: int) -> PlannedTask:
    seed = first_seed + task.seed
    return _with(task, caller=caller, seed=seed, content={**task.content, "seed": seed})


def applications(tasks: list[PlannedTask]) -> list[list[PlannedTask]]:
    """Those that go through the front door, by the application that sends them."""
    groups: dict[tuple[str, str], list[PlannedTask]] = defaultdict(list)
    for task in tasks:
        if task.by_door:
            groups[task.caller, task.task_id].append(task)
    return list(groups.values())


def _drawn(number: int, chance: random.Random, plan: ChaosPlan) -> list[PlannedTask]:
    """The next task, or the next two that belong together."""
    fates = list(Fate)
    # Some of everything in a run of any size, and early enough for a poisoned task to use up its tries.
    fate = fates[number] if number < len(fates) else chance.choices(fates, [100, 2, 1, 1, 1, 1, 0])[0]
    if number % _MOVED_EVERY == len(fates):
        fate = Fate.MOVED
    task = _task(number, fate, chance, plan)
    if fate is Fate.GOOD and chance.random() < plan.door_rate:
        return _as_an_application_does(task, chance, plan)
    return [task]


def _as_an_application_does(task: PlannedTask, chance: random.Random, plan: ChaosPlan) -> list[PlannedTask]:
    story = chance.choice(_DOORS_STORIES)
    first = _with(task, by_door=True, doubled=False, offloaded=False, cancelled=story in ("cancelled", "replaced"))
    if story not in ("replaced", "rivals"):
        return [first]
    other = _task(task.seed // _SEEDS_OF_A_NUMBER, Fate.GOOD, chance, plan)
    seed = task.seed + _SEEDS_OF_A_NUMBER // 2
    seeded = _with(other, seed=seed, content={**other.content, "seed": seed})
    return [first, _with(seeded, task_id=first.task_id, by_door=True, doubled=False, offloaded=False)]


def _task(number: int, fate: Fate, chance: random.Random, plan: ChaosPlan) -> PlannedTask:
    pictures = chance.choice([1, 1, 1, 2])
    seed = number * _SEEDS_OF_A_NUMBER
    content: dict[str, Any] = {"prompt": f"picture {number}", "seed": seed, "steps": 4, "batch_size": pictures}
    if chance.random() < 0.5:
        content["override_settings"] = {"sd_model_checkpoint": chance.choice(MODELS)}
    link = None
    if fate is Fate.DEAD_LINK:
        link = chance.choice([Link.ENDLESS, Link.MISSING])
    elif fate is Fate.FOREIGN:
        link = Link.FOREIGN
    elif fate is Fate.GOOD and chance.random() < plan.link_rate:
        link = chance.choice([Link.QUICK, Link.DRIPPING, Link.OWN])
    if fate is Fate.REFUSED:
        _spoil(content, chance.choice([Bad.STEPS, Bad.WIDTH, Bad.OVERRIDE, Bad.LEAK]))
    if fate is Fate.POISON:
        _spoil(content, chance.choice([Bad.MEMORY, Bad.SIZE]))
    return PlannedTask(
        task_id=f"task-{number}",
        submission_id=f"{chance.getrandbits(128):032x}",
        fate=fate,
        pictures=pictures,
        seed=seed,
        content=content,
        doubled=chance.random() < plan.doubled_rate,
        offloaded=chance.random() < plan.offloaded_rate,
        link=link,
    )


def _spoil(content: dict[str, Any], bad: Bad) -> None:
    match bad:
        case Bad.STEPS:
            content["steps"] = 0
        case Bad.WIDTH:
            content["width"] = 0
        case Bad.OVERRIDE:
            content["override_settings"] = {"no_such_option": 1}
        case Bad.LEAK:
            content["override_settings"] = {"eta_noise_seed_delta": "x"}
        case Bad.MEMORY:
            content["prompt"] = POISON_PROMPT
        case Bad.SIZE:
            content["width"] = content["height"] = 4096


def _with(task: PlannedTask, **changes: Any) -> PlannedTask:
    return PlannedTask(**{**task.__dict__, **changes})
