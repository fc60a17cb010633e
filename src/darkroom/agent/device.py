"""The device beside this agent: one task at a time, and who is next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job


class Device:
    """Hands out turns on the device, first come, first served.

    `changed` is set whenever a turn begins or ends or somebody starts or stops waiting.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[Job, asyncio.Future[None]]] = []
        self._running_since = 0.0
        self.running: Job | None = None
        self.changed = asyncio.Event()

    @property
    def waiting(self) -> list[Job]:
        """The jobs that wait for their turn, the next one first."""
        return [job for job, _ in self._waiting]

    @property
    def elapsed_seconds(self) -> float:
        """How long the running task has had the device."""
        return self._clock.monotonic() - self._running_since if self.running else 0.0

    @asynccontextmanager
    async def turn(self, job: Job) -> AsyncIterator[None]:
        """Wait for the device, and keep it for the body of the `async with`."""
        if self.running is not None or self._waiting:
            await self._wait(job)
        self._begin(job)
        try:
            yield
        finally:
            self.running = None
            self._call_next()
            self.changed.set()

    async def _wait(self, job: Job) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (job, turn)
        self._waiting.append(entry)
        self.changed.set()
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif self.running is job:  # called, but cancelled before it could begin
                self.running = None
                self._call_next()
            self.changed.set()
            raise

    def _call_next(self) -> None:
        if self._waiting:
            job, turn = self._waiting.pop(0)
            self.running = job  # reserved at once: a newcomer must not slip in before it wakes
            turn.set_result(None)

    def _begin(self, job: Job) -> None:
        self.running = job
        self._running_since = self._clock.monotonic()
        self.changed.set()
