"""The device beside this agent: who has it, who waits at the runtime's door, and who is next.

Where a runtime queues by itself, the next request is sent shortly before the running one ends, so that the device does
not wait for it. Not earlier: what is at the door can no longer be given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.policy.turn_order import MOST_OVERTAKES, Candidate, next_turn

# How long before the running task's end the next request may be sent.
_DOOR_SECONDS = 0.3


class Device:
    """Hands out turns. `changed` is set whenever a turn begins or ends or somebody starts or stops waiting.

    `quiet` is set while nothing of ours is at the runtime.

    `remaining_seconds` estimates when the running task ends, given for how long it has run (None: not known);
    `loaded_model` says which model needs no switch; `queues` whether one more request may wait at the runtime's door.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        remaining_seconds: Callable[[float], float | None],
        loaded_model: Callable[[], str | None],
        queues: bool,
        most_overtakes: int = MOST_OVERTAKES,
    ) -> None:
        self._clock = clock
        self._remaining_seconds = remaining_seconds
        self._loaded_model = loaded_model
        self._queues = queues
        self._most_overtakes = most_overtakes
        self._waiting: list[tuple[Job, asyncio.Future[None]]] = []
        self._at_runtime: list[Job] = []
        self._holds = 0
        self._head_since = 0.0
        self._busy_seconds = 0.0
        self._door_timer: asyncio.TimerHandle | None = None
        self.changed = asyncio.Event()
        self.quiet = asyncio.Event()
        self.quiet.set()

    @property
    def waiting(self) -> list[Job]:
        """The jobs that are ready and wait here, in order of arrival."""
        return [job for job, _ in self._waiting]

    @property
    def held(self) -> int:
        """How many jobs are ready but do not run: those that wait here, and the one at the runtime's door."""
        return len(self._waiting) + max(0, len(self._at_runtime) - 1)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._at_runtime

    @property
    def elapsed_seconds(self) -> float:
        """How long the running task has had the device."""
        return self._clock.monotonic() - self._head_since if self._at_runtime else 0.0

    @property
    def busy_seconds(self) -> float:
        """How long tasks have had the device in all, the running one included."""
        return self._busy_seconds + self.elapsed_seconds

    def is_at_runtime(self, job: Job) -> bool:
        """Whether the job was sent to the runtime."""
        return job in self._at_runtime

    def is_running(self, job: Job) -> bool:
        """Whether the job has the device, as far as can be known from here."""
        return bool(self._at_runtime) and self._at_runtime[0] is job

    def hold(self) -> None:
        """Hand out no turns until `release` has been called as often; what is at the runtime goes on."""
        self._holds += 1

    def release(self) -> None:
        """Take back one `hold`."""
        self._holds -= 1
        self._call()
        self.changed.set()

    @asynccontextmanager
    async def turn(self, job: Job) -> AsyncIterator[None]:
        """Wait until the job may be sent to the runtime, and count it as sent for the body of the `async with`."""
        if self._waiting or not self._may_be_sent():
            await self._wait(job)
        else:
            self._send(job)
        try:
            yield
        finally:
            self._leave(job)

    async def _wait(self, job: Job) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (job, turn)
        self._waiting.append(entry)
        self._watch_the_door()
        self.changed.set()
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif job in self._at_runtime:  # called, but cancelled before it woke
                self._leave(job)
            self.changed.set()
            raise

    def _leave(self, job: Job) -> None:
        was_head = self.is_running(job)
        self._at_runtime.remove(job)
        if not self._at_runtime:
            self.quiet.set()
        if was_head:
            now = self._clock.monotonic()
            job.device_seconds = now - self._head_since
            self._busy_seconds += now - self._head_since
            self._head_since = now
        self._call()
        self.changed.set()

    def _may_be_sent(self) -> bool:
        if self._holds:
            return False
        if not self._at_runtime:
            return True
        if not self._queues or len(self._at_runtime) > 1:
            return False
        remaining = self._remaining_seconds(self.elapsed_seconds)
        return remaining is not None and remaining <= _DOOR_SECONDS

    def _call(self) -> None:
        """Let those go who may."""
        # Who was cancelled this very moment has not yet woken to leave the line.
        self._waiting = [(job, turn) for job, turn in self._waiting if not turn.done()]
        while self._waiting and self._may_be_sent():
            index = next_turn(
                [Candidate(_model_of(job), job.overtaken) for job, _ in self._waiting],
                self._model_by_then(),
                self._most_overtakes,
            )
            for overtaken, _ in self._waiting[:index]:
                overtaken.overtaken += 1
            job, turn = self._waiting.pop(index)
            self._send(job)  # counted as sent at once: a newcomer must not slip in before it wakes
            turn.set_result(None)
        self._watch_the_door()

    def _model_by_then(self) -> str | None:
        """The model that will be loaded when the runtime turns to whatever is sent next."""
        asked_for = [model for job in self._at_runtime if (model := _model_of(job)) is not None]
        return asked_for[-1] if asked_for else self._loaded_model()

    def _send(self, job: Job) -> None:
        if not self._at_runtime:
            self._head_since = self._clock.monotonic()
        self._at_runtime.append(job)
        self.quiet.clear()
        self.changed.set()

    def _watch_the_door(self) -> None:
        """Come back when the running task is about to end, if somebody waits for that."""
        if self._door_timer is not None:
            self._door_timer.cancel()
            self._door_timer = None
        if not self._queues or not self._waiting or len(self._at_runtime) != 1:
            return
        remaining = self._remaining_seconds(self.elapsed_seconds)
        if remaining is not None:
            pause = max(0.0, remaining - _DOOR_SECONDS)
            self._door_timer = asyncio.get_running_loop().call_later(pause, self._call)


def _model_of(job: Job) -> str | None:
    return None if job.prepared is None else job.prepared.model
