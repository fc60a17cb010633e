"""The agent's process: reads its settings, has its parts opened, and listens to signals."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from darkroom.agent.clock import Clock
from darkroom.agent.composition import open_agent
from darkroom.agent.embedded_metrics import EmbeddedMetrics
from darkroom.agent.health import Health
from darkroom.agent.metrics import Metrics, SeveralMetrics
from darkroom.logs import configure_logs, log
from darkroom.settings import AgentSettings, read_agent_settings

if TYPE_CHECKING:
    from darkroom.metrics.exposition import Exposition


def run_agent(environment: Mapping[str, str]) -> None:
    """Run an agent until it is told to stop by SIGTERM or SIGINT. Raises `SettingsError` before it starts anything."""
    settings = read_agent_settings(environment)
    configure_logs(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: AgentSettings) -> None:
    # Before anything else: a container's first process ignores signals that it has no handler for.
    told, opened = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    log(logging.INFO, "agent.starting", "opens what it works with")
    working = asyncio.create_task(_work(settings, told, opened))
    telling = asyncio.create_task(told.wait())
    await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if not (opened.is_set() or working.done()):
        working.cancel()  # nothing has been received yet
        await asyncio.gather(working, return_exceptions=True)
    else:
        await working
    log(logging.INFO, "agent.stopped", "nothing is held any more")


async def _work(settings: AgentSettings, told: asyncio.Event, opened: asyncio.Event) -> None:
    """Open an agent, say so by `opened`, and have it work until `told`."""
    health = Health()
    async with (
        _metrics(settings, health) as (metrics, exposition),
        open_agent(settings, health, metrics=metrics) as agent,
        _health_server(settings, health, exposition),
    ):
        opened.set()
        working = asyncio.create_task(agent.run())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if working.done():
            await working  # it only ends by itself through a fault
        await agent.stop(settings.grace_period_seconds)
        await working


@asynccontextmanager
async def _metrics(settings: AgentSettings, health: Health) -> AsyncIterator[tuple[Metrics, Exposition | None]]:
    """Where the agent's figures go, and what answers Prometheus, for the body of the `async with`."""
    async with AsyncExitStack() as stack:
        places: list[Metrics] = []
        if settings.metrics_namespace is not None:
            embedded = EmbeddedMetrics(settings.metrics_namespace, settings.runtime_name, Clock())
            await stack.enter_async_context(embedded.telling())
            places.append(embedded)
        exposition = None
        if settings.health_port is not None:
            # Like the server, it takes memory; an agent that nobody asks does without.
            from darkroom.agent.prometheus import PrometheusMetrics

            answering = PrometheusMetrics(settings.runtime_name, health)
            places.append(answering)
            exposition = answering.text
        yield SeveralMetrics(places), exposition


@asynccontextmanager
async def _health_server(settings: AgentSettings, health: Health, exposition: Exposition | None) -> AsyncIterator[None]:
    if settings.health_port is None:
        yield
        return
    # A web server takes 2 MB of memory; an agent that nobody asks does without.
    from darkroom.agent.health_server import health_server

    async with health_server(health, settings.health_host, settings.health_port, exposition):
        yield
