"""Whether a runtime gets tasks: not before it answers, and none while it is sick.

Each task that a sick runtime got would lose a try. What heals it is mostly a restart, and what asks the agent for its
health gives it one. Whether it has become well is found out by canaries (`darkroom.agent.diagnosis`): at once when it
comes back from a restart, and else now and then. Only where the adapter has no canary, a task is the trial.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from darkroom.agent.clock import Clock
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.health import Health
from darkroom.errors import RuntimeFailure
from darkroom.logs import log, logger
from darkroom.runtimes.protocol import Runtime

# Between two times that a runtime is asked: short at first, for it may be about to answer, and doubling.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.5
# Between the first two looks at a sick runtime; it doubles from there on.
_FIRST_LOOK_SECONDS = 5.0


class Readiness:
    """Holds up the agent's main loop. `pause` waits for so many seconds, but not beyond the agent's end.

    `trial_seconds`: the most that lies between two looks at a sick runtime.
    """

    def __init__(
        self,
        runtime: Runtime,
        health: Health,
        diagnosis: Diagnosis,
        clock: Clock,
        stopping: asyncio.Event,
        pause: Callable[[float], Awaitable[None]],
        trial_seconds: float,
    ) -> None:
        self._runtime = runtime
        self._health = health
        self._diagnosis = diagnosis
        self._clock = clock
        self._stopping = stopping
        self._pause = pause
        self._trial_seconds = trial_seconds

    async def wait(self) -> bool:
        """Return True when the runtime may get tasks, False when the agent is to stop first."""
        if self._may_get_tasks:
            return True
        log(logging.INFO, "runtime.waiting", "waiting for the runtime to be ready", fault=self._health.runtime_fault)
        looks = _Looks(self._clock.monotonic(), self._trial_seconds)
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            was_away = await self._ask()
            if self._may_get_tasks:
                log(logging.INFO, "runtime.ready", "the runtime is ready")
                return True
            now = self._clock.monotonic()
            if was_away:
                looks.are_due_at_once()
            elif self._diagnosis.on_probation and looks.is_due(now):
                await self._look(in_doubt=looks.is_trial_due(now))
                looks.took_place(self._clock.monotonic())
                continue
            elif not self._diagnosis.on_probation and looks.is_trial_due(now):
                log(logging.WARNING, "runtime.trial", "one task is to show whether the runtime has recovered")
                return True
            await self._pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return False

    @property
    def _may_get_tasks(self) -> bool:
        return self._health.runtime_ready and self._health.live and not self._diagnosis.on_probation

    async def _look(self, *, in_doubt: bool) -> None:
        """Have the runtime examined, but do not wait for the verdict beyond the agent's end."""
        looking = asyncio.create_task(self._diagnosis.look_again(in_doubt=in_doubt))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            stopping.cancel()
            await asyncio.gather(looking, stopping, return_exceptions=True)

    async def _ask(self) -> bool:
        """Ask the runtime whether it is ready; returns whether it is away."""
        try:
            await self._runtime.check_ready()
        except RuntimeFailure as error:
            return self._is_away(str(error))
        except Exception as error:
            # Raised on, it would end the agent, with all that it holds.
            reason = f"its adapter has a fault: {type(error).__name__}: {error}"
            if reason != self._health.runtime_reason:
                logger.exception("a fault in the runtime's adapter: it cannot tell whether the runtime is ready")
            return self._is_away(reason)
        self._health.runtime_is_ready()
        self._diagnosis.tell()
        return False

    def _is_away(self, reason: str) -> bool:
        self._health.runtime_went_away(reason)
        self._diagnosis.was_away()
        return True


class _Looks:
    """When to look at a sick runtime again: soon at first, and less and less often."""

    def __init__(self, now: float, longest_pause: float) -> None:
        self._longest_pause = longest_pause
        self._pause = min(_FIRST_LOOK_SECONDS, longest_pause)
        self._due = now + self._pause
        self._trial_due = now + longest_pause

    def is_due(self, now: float) -> bool:
        """Whether a canary is to be sent."""
        return now >= self._due

    def is_trial_due(self, now: float) -> bool:
        """Whether it is time for a task to try the runtime, where nothing else can."""
        return now >= self._trial_due

    def took_place(self, now: float) -> None:
        """Count a look."""
        self._pause = min(2 * self._pause, self._longest_pause)
        self._due = now + self._pause

    def are_due_at_once(self) -> None:
        """The runtime was away, so it is another one now."""
        self._due = self._trial_due = float("-inf")
