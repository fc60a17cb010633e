"""A short chaos run: 200 tasks, two agents, everything that can go wrong. `make chaos` is the long one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.harness import run_chaos
from tests.chaos.plan import ChaosPlan
from tests.chaos.tasks import planned_tasks


async def test_no_fault_loses_a_task_or_contradicts_what_was_told(
    request: pytest.FixtureRequest, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = request.config.getoption("--seed")
    plan = ChaosPlan(seed=random.SystemRandom().randrange(10**6) if seed is None else seed)
    report = await run_chaos(plan, tmp_path)
    record_property("shown", str(report))  # the seed must be seen, also where the run is good
    assert not report.broken, f"{report}\nlogs: {tmp_path}\nrepeat: pytest tests/chaos --seed {plan.seed}"


def test_a_seed_decides_the_tasks() -> None:
    plan = ChaosPlan(seed=7, tasks=50)
    assert planned_tasks(plan) == planned_tasks(plan)
    assert planned_tasks(plan) != planned_tasks(ChaosPlan(seed=8, tasks=50))


def test_no_picture_of_a_task_has_the_seed_of_another_tasks() -> None:
    seeds = [
        task.seed + number for task in planned_tasks(ChaosPlan(seed=41, tasks=2000)) for number in range(task.pictures)
    ]
    assert len(seeds) == len(set(seeds))
