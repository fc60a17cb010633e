"""Whether a runtime gets tasks: not before it answers, and hardly any while it fails one after another.

Such a runtime mostly needs a restart (see `darkroom.runtimes.failure_streak`), and what asks the agent for its health
gives it one. Until then, every task that it got would lose a try. Where nobody restarts it, one task now and then finds
out whether it has recovered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from darkroom.agent.clock import Clock
from darkroom.agent.health import Health
from darkroom.errors import RuntimeFailure
from darkroom.logs import log
from darkroom.runtimes.protocol import Runtime

PAUSE_SECONDS = 0.5


class Readiness:
    """Holds up the agent's main loop. `pause` waits for so many seconds, but not beyond the agent's end."""

    def __init__(
        self,
        runtime: Runtime,
        health: Health,
        clock: Clock,
        stopping: asyncio.Event,
        pause: Callable[[float], Awaitable[None]],
        trial_seconds: float,
    ) -> None:
        self._runtime = runtime
        self._health = health
        self._clock = clock
        self._stopping = stopping
        self._pause = pause
        self._trial_seconds = trial_seconds

    async def wait(self) -> bool:
        """Return True when the runtime may get tasks, False when the agent is to stop first."""
        health = self._health
        if health.runtime_ready and health.live:
            return True
        log(logging.INFO, "runtime.waiting", "waiting for the runtime to be ready", fault=health.runtime_fault)
        next_trial = self._clock.monotonic() + self._trial_seconds
        while not self._stopping.is_set():
            await self._look()
            if health.runtime_ready and health.live:
                log(logging.INFO, "runtime.ready", "the runtime is ready")
                return True
            if health.runtime_ready and self._clock.monotonic() >= next_trial:
                log(logging.WARNING, "runtime.trial", "one task is to show whether the runtime has recovered")
                return True
            await self._pause(PAUSE_SECONDS)
        return False

    async def _look(self) -> None:
        try:
            await self._runtime.check_ready()
        except RuntimeFailure as error:
            self._health.runtime_went_away(str(error))
        else:
            self._health.runtime_is_ready()
        # One that was seen down has been restarted, and its adapter has forgotten what was before.
        self._health.runtime_has_fault(self._runtime.fault)
