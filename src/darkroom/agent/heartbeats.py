"""What the agent says of itself every few seconds: whether it takes tasks, and what a front door estimates by.

It is a service like the records: nothing waits for it, and what the table takes amiss is logged once and no more. An
agent that ends takes its heartbeat away; one that is killed leaves it behind, and whoever reads it sees its age.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from darkroom.agent.clock import Clock
from darkroom.agent.health import Health
from darkroom.aws.heartbeats import HeartbeatTable
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.telling import LONGEST_MODEL_NAME, shortened
from darkroom.tasks.heartbeat import SECONDS_BETWEEN_HEARTBEATS, AgentState, Heartbeat

# How soon a change of state is told, at the latest.
_LOOK_SECONDS = 1.0
# A silent service is not waited for: the next heartbeat says more.
_PATIENCE_SECONDS = 5.0
_SECONDS_TO_LEAVE = 2.0
# The device's duty is that of so many heartbeats: a minute or so.
_DUTY_BEATS = 7
# Of names of models, so that a heartbeat costs three write units at most.
_MOST_NAME_BYTES = 2000


@dataclass(frozen=True)
class Work:
    """What an agent does just now, for its heartbeat: see `Heartbeat`. `busy_seconds` counts from its start."""

    in_work: int
    busy_seconds: float
    model: str | None = None
    models: tuple[str, ...] = ()
    service_seconds: float | None = None
    head_sent_at: float | None = None


class Heartbeats:
    """Writes the heartbeats of one agent into `table`; without a table, none."""

    def __init__(
        self, table: HeartbeatTable | None, runtime_name: str, agent_name: str, health: Health, clock: Clock
    ) -> None:
        self._table = table
        self._runtime_name = runtime_name
        self._agent_name = agent_name
        self._health = health
        self._clock = clock
        self._was_ready = False
        self._busy: deque[tuple[float, float]] = deque(maxlen=_DUTY_BEATS)
        self._fails = False

    @asynccontextmanager
    async def beating(self, work: Callable[[], Work], stopping: asyncio.Event) -> AsyncIterator[None]:
        """Tell of the agent for the body of the `async with`; `stopping` says that it was told to stop."""
        table = self._table
        if table is None:
            yield
            return
        beating = asyncio.create_task(self._beat_for_ever(table, work, stopping), name="heartbeats")
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await self._try(table.delete(self._runtime_name, self._agent_name), _SECONDS_TO_LEAVE)

    async def _beat_for_ever(self, table: HeartbeatTable, work: Callable[[], Work], stopping: asyncio.Event) -> None:
        told, told_at = None, float("-inf")
        while True:
            now, state = self._clock.monotonic(), self._state(stopping)
            if state is not told or now - told_at >= SECONDS_BETWEEN_HEARTBEATS:
                told, told_at = state, now
                await self._try(table.write(self._heartbeat(state, work())), _PATIENCE_SECONDS)
            await self._clock.sleep(_LOOK_SECONDS)

    def _state(self, stopping: asyncio.Event) -> AgentState:
        if stopping.is_set():
            return AgentState.STOPPING
        if self._health.ready:
            self._was_ready = True
            return AgentState.READY
        return AgentState.UNWELL if self._was_ready else AgentState.STARTING

    def _heartbeat(self, state: AgentState, work: Work) -> Heartbeat:
        now = self._clock.monotonic()
        self._busy.append((now, work.busy_seconds))
        since, busy_then = self._busy[0]
        duty = None if now <= since else min(1.0, max(0.0, (work.busy_seconds - busy_then) / (now - since)))
        return Heartbeat(
            agent=self._agent_name,
            runtime=self._runtime_name,
            seen_at=self._clock.now(),
            state=state,
            model=None if work.model is None else shortened(work.model, LONGEST_MODEL_NAME),
            models=tuple(_bounded(work.models)),
            in_work=work.in_work,
            service_seconds=None if work.service_seconds is None else round(work.service_seconds, 3),
            head_sent_at=work.head_sent_at,
            duty=None if duty is None else round(duty, 3),
        )

    async def _try(self, operation: Awaitable[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await operation
        except (AwsFailure, TimeoutError) as error:
            if not self._fails:
                text = str(error) or f"the table took longer than {seconds:g} s"
                log(logging.WARNING, "agent.heartbeat_failed", text)
            self._fails = True
        else:
            self._fails = False


def _bounded(models: Iterable[str]) -> Iterable[str]:
    """As many of the names as a heartbeat has room for."""
    left = _MOST_NAME_BYTES
    for name in models:
        left -= len(name.encode(errors="surrogatepass"))
        if left < 0:
            return
        yield name
