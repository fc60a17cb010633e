"""A task that finds its runtime gone has not taken it down."""

from __future__ import annotations

import asyncio

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane
from tests.integration.test_agent import (
    SOON,
    is_empty,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)


async def test_a_task_that_finds_its_runtime_gone_twice_is_done_when_it_is_back(plane: Plane) -> None:
    runtime = FakeSdWebui(plain_bytes=1500)
    await submit(plane, task_for(plane))
    for _ in range(2):  # each agent has seen the runtime ready, and finds it gone when the task is there
        await runtime.start()
        health = Health()
        async with open_agent(settings_for(plane, runtime.url), health, SOON) as agent:
            health.runtime_is_ready()
            await runtime.stop()
            run = asyncio.create_task(agent.run())
            await until(lambda known=health: not known.runtime_ready)  # type: ignore[misc]
            await agent.stop(20)
            await run
    async with runtime, working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.status is Status.COMPLETED
    assert await is_empty(plane.dead_letters)
