"""What an agent says of itself while it is there, and that it takes it away when it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.tasks.heartbeat import SECONDS_BETWEEN_HEARTBEATS, AgentState, Heartbeat
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from darkroom.testing.free_port import free_port
from tests.integration.conftest import Plane
from tests.integration.test_agent import DEADLINE_SECONDS, notified, settings_for, submit, task_for, until, working


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def heartbeats_when(plane: Plane, condition: Callable[[list[Heartbeat]], object]) -> list[Heartbeat]:
    """What the agents say, as soon as that meets the condition."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await plane.aws.heartbeats(plane.provisioned.table).read(plane.runtime)
            if condition(found):
                return found
            await asyncio.sleep(0.05)


async def test_an_agent_says_what_it_does_while_it_is_there_and_no_longer(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 0.3
    before, passed = time.time(), 0.0
    settings = settings_for(plane, runtime.url, agent_name="painter-1", dynamic_model=True)
    clock = Clock(monotonic=lambda: time.monotonic() + passed)
    async with open_agent(settings, Health(), clock) as agent:
        run = asyncio.create_task(agent.run())
        (idle,) = await heartbeats_when(plane, lambda found: found and found[0].state is AgentState.READY)
        assert (idle.agent, idle.runtime, idle.in_work) == ("painter-1", plane.runtime, 0)
        assert idle.models == ("v1-5-pruned-emaonly.safetensors", *idle.models[1:])
        assert idle.seen_at >= before
        await submit(plane, task_for(plane))
        await notified(plane)
        passed = SECONDS_BETWEEN_HEARTBEATS
        (worked,) = await heartbeats_when(plane, lambda found: found and found[0].service_seconds)
        assert worked.service_seconds is not None
        assert 0.3 <= worked.service_seconds < 5
        assert worked.head_sent_at is not None
        assert before - 1 <= worked.head_sent_at <= worked.seen_at
        assert worked.duty is not None
        assert 0 < worked.duty < 1
        assert worked.model == "v1-5-pruned-emaonly"
        await agent.stop(20)
        await run
    assert await heartbeats_when(plane, lambda found: True) == []


async def test_an_agent_that_ends_says_so_and_one_whose_runtime_is_away_too(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 4.0
    async with open_agent(settings_for(plane, runtime.url), Health()) as agent:
        run = asyncio.create_task(agent.run())
        await submit(plane, task_for(plane))
        await until(lambda: len(runtime.requests) == 1)
        ending = asyncio.create_task(agent.stop(60))
        (stopping,) = await heartbeats_when(plane, lambda found: found and found[0].state is AgentState.STOPPING)
        assert stopping.in_work == 1
        await ending
        await run
    async with open_agent(settings_for(plane, f"http://127.0.0.1:{free_port()}"), Health()) as agent:
        run = asyncio.create_task(agent.run())
        await heartbeats_when(plane, lambda found: found and found[0].state is AgentState.STARTING)
        await agent.stop(0)
        await run


async def test_a_runtime_that_went_away_makes_its_agent_unwell(plane: Plane, runtime: FakeSdWebui) -> None:
    health = Health()
    async with open_agent(settings_for(plane, runtime.url), health) as agent:
        run = asyncio.create_task(agent.run())
        await heartbeats_when(plane, lambda found: found and found[0].state is AgentState.READY)
        await runtime.stop()
        await submit(plane, task_for(plane))
        await heartbeats_when(plane, lambda found: found and found[0].state is AgentState.UNWELL)
        await agent.stop(0)
        await run


@pytest.mark.parametrize("fault", [AwsFault.DENIED, AwsFault.SILENT])
async def test_a_table_that_takes_no_heartbeats_keeps_no_agent_from_its_tasks_nor_from_its_end(
    plane: Plane, runtime: FakeSdWebui, fault: AwsFault
) -> None:
    def away(request: AwsRequest) -> AwsFault | None:
        is_heartbeat = (request.service, request.operation) in (("dynamodb", "PutItem"), ("dynamodb", "DeleteItem"))
        return fault if is_heartbeat else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=away) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            await submit(plane, task_for(plane))
            ((end, _),) = await notified(plane)
            ended_at = time.monotonic()
    assert end.status is Status.COMPLETED
    assert proxy.suffered[fault]
    assert time.monotonic() - ended_at < 15
