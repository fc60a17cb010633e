"""A runtime that fails task after task: its health says so, and it gets no more tasks until it is another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from darkroom.agent.health import Health
from darkroom.policy.failure_streak import FAILURES_IN_A_ROW
from darkroom.runtimes.protocol import Runtime
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from tests.integration.conftest import Plane
from tests.integration.test_agent import DEADLINE_SECONDS, notified, settings_for, submit, task_for, until, working

TASKS = 4


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def break_it(plane: Plane, runtime: FakeSdWebui, health: Health) -> None:
    """Let task after task fail until the agent has had enough."""
    runtime.faults.extend([SdWebuiFault.ERROR] * 1000)
    for number in range(TASKS):
        await submit(plane, task_for(plane, f"t{number}"))
    await until(lambda: not health.live)


async def until_all_wait(plane: Plane) -> None:
    """Until every task is in the queue again and stays there: an agent that takes tasks would have taken one."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await plane.queue.read_attributes()).visible < TASKS:  # noqa: ASYNC110 - it happens at the emulator
            await asyncio.sleep(0.05)


async def test_it_gets_no_tasks_until_it_was_restarted(plane: Plane, runtime: FakeSdWebui) -> None:
    health = Health()
    async with working(settings_for(plane, runtime.url, trial_seconds=1000.0), health=health):
        await break_it(plane, runtime, health)
        await until_all_wait(plane)
        await runtime.stop()
        await until(lambda: health.live and not health.runtime_ready)
        runtime.faults.clear()
        await runtime.start()
        ends = await notified(plane, TASKS)
    assert {end.status for end, _ in ends} == {Status.COMPLETED}


async def test_a_canary_now_and_then_finds_out_that_it_has_recovered(plane: Plane, runtime: FakeSdWebui) -> None:
    health = Health()
    async with working(settings_for(plane, runtime.url, trial_seconds=1.0), health=health):
        await break_it(plane, runtime, health)
        await until_all_wait(plane)
        runtime.faults.clear()
        ends = await notified(plane, TASKS)
        assert health.live
    assert {end.status for end, _ in ends} == {Status.COMPLETED}


async def test_without_a_canary_tasks_in_a_row_tell_and_a_task_is_the_trial(
    plane: Plane, runtime: FakeSdWebui, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an adapter of somebody else's that has none."""
    monkeypatch.setattr(SdWebui, "canary", Runtime.canary)
    health = Health()
    async with working(settings_for(plane, runtime.url, trial_seconds=3.0), health=health):
        await break_it(plane, runtime, health)
        asked = len(runtime.requests)
        assert asked >= FAILURES_IN_A_ROW
        runtime.faults.clear()
        ends = await notified(plane, TASKS)
        assert health.live
    assert {end.status for end, _ in ends} == {Status.COMPLETED}
