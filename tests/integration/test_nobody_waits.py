"""One task's slowness is its own: the device works for the others, and an agent with nothing to do does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from darkroom.agent.agent import Agent
from darkroom.agent.clock import Clock
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.settings import AgentSettings
from darkroom.tasks.task import TaskKind
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.loopback import LoopbackServer, json_response
from darkroom.testing.pictures import plain
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, submit, task_for, until


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


class SilentSdWebui(FakeSdWebui):
    """One that never tells how far it is."""

    async def _progress(self, request: web.Request) -> web.Response:
        return json_response({"progress": 0.0, "eta_relative": 0.0, "state": {"job_count": 0}})


class DrippingSite(LoopbackServer):
    """A web server whose pictures come byte by byte, and never to an end. `opened` counts those that were asked for."""

    opened = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{name:.*}", self._drip)]

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for byte in plain(100_000):
                await response.write(bytes((byte,)))
                await asyncio.sleep(0.1)
        return response


@asynccontextmanager
async def working(settings: AgentSettings, clock: Clock | None = None) -> AsyncIterator[Agent]:
    """An agent that works for the body of the `async with`."""
    async with open_agent(settings, Health(), clock) as agent:
        run = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            await agent.stop(10.0)
            await asyncio.wait_for(run, 10)


async def test_an_agent_whose_task_is_overdue_does_nothing_but_wait(plane: Plane) -> None:
    looks, passed = 0, 0.0

    def monotonic() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic() + passed

    async with (
        SilentSdWebui(plain_bytes=1500) as runtime,
        working(settings_for(plane, runtime.url, sweep_seconds=None), Clock(monotonic=monotonic)) as agent,
    ):
        for number in range(3):
            await submit(plane, task_for(plane, f"quick-{number}"))
        await notified(plane, 3)
        runtime.latency_seconds = 4.0
        await submit(plane, task_for(plane, "silent"))
        await until(lambda: len(runtime.requests) == 4)
        passed = 5.0
        assert agent._pace.is_overdue(agent._device.elapsed_seconds)
        await asyncio.sleep(0.5)  # what comes of that is done: the stretch that is looked at begins
        before, began = looks, time.monotonic()
        await asyncio.sleep(2.5)
        per_second = (looks - before) / (time.monotonic() - began)
        await notified(plane)
    # A turn of the main loop looks at the clock a few times; the lease and the runtime's progress do now and then.
    assert per_second < 20


async def test_a_queue_that_answers_at_once_is_not_asked_without_a_pause(plane: Plane) -> None:
    async with SilentSdWebui(plain_bytes=1500) as runtime:
        settings = settings_for(plane, runtime.url, sweep_seconds=None, receive_wait_seconds=0)
        looks: list[float] = []

        def monotonic() -> float:
            looks.append(time.monotonic())
            return looks[-1]

        async with working(settings, Clock(monotonic=monotonic)):
            await submit(plane, task_for(plane))
            await notified(plane)
            looks.clear()
            await asyncio.sleep(2.0)
            seen = len(looks)
    assert 0 < seen < 60  # some four polls a second, a few looks at the clock for each


@pytest.mark.parametrize("dripping", [1, 4])
async def test_a_dripping_link_delays_its_own_task_only(dripping: int, plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 0.2
    async with DrippingSite() as site, working(settings_for(plane, runtime.url, sweep_seconds=None)):
        await submit(plane, task_for(plane, "warm"))
        await notified(plane)
        for number in range(dripping):
            content = {"init_images": [f"{site.url}/{number}.png"]}
            await submit(plane, task_for(plane, f"slow-{number}", kind=TaskKind.IMAGE_TO_IMAGE, content=content))
        await until(lambda: site.opened >= 1)
        began, busy = time.monotonic(), runtime.busy_seconds
        for number in range(10):
            await submit(plane, task_for(plane, f"plain-{number}"))
        ended = await notified(plane, 10)
        seconds, busy = time.monotonic() - began, runtime.busy_seconds - busy
    assert {end.id for end, _ in ended} == {f"plain-{number}" for number in range(10)}
    # Every slow one is waited for once, for a moment.
    assert seconds - busy < 2.0 + 1.5 * dripping
