"""The device makes one thing at a time; requests wait in the order in which they came, and can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from PIL.Image import Image

from darkroom.errors import RuntimeBusy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Status:
    """What the device is doing, for `progress`. Steps are those of the batch that runs now."""

    job: str = ""
    job_started: datetime | None = None
    seconds: float = 0.0
    rounds: int = 0
    round: int = 0
    step: int = 0
    steps: int = 0
    skipped: bool = False
    interrupted: bool = False
    waiting: int = 0

    @property
    def progress(self) -> float:
        """How much of the job is done, 0..1; SD Web UI shows 0.01 for one that has just begun."""
        if not self.job:
            return 0.0
        part = self.step / self.steps if self.steps else 0.0
        return max(0.01, min(1.0, (self.round + part) / max(1, self.rounds)))

    @property
    def seconds_left(self) -> float:
        """An estimate from the steps so far."""
        return self.seconds / self.progress - self.seconds if self.job else 0.0


class Job:
    """One request's turn on the device. The engine's `Watch`; its methods are called from the device's thread.

    Plain attribute writes, each of them atomic, are all that passes between the threads.
    """

    def __init__(self, name: str, started: datetime, monotonic: Callable[[], float]) -> None:
        self._name = name
        self._started = started
        self._monotonic = monotonic
        self._began = monotonic()
        self._rounds = 1
        self._round = 0
        self._step = (0, 0)
        self._preview: Callable[[], Image] | None = None
        self._skipped = False
        self._interrupted = False

    def begin_round(self, number: int, rounds: int) -> bool:
        """The batch `number` of `rounds` begins. False when the job was interrupted."""
        self._round, self._rounds = number, rounds
        self._step = (0, 0)
        self._skipped = False
        return not self._interrupted

    def step(self, done: int, total: int, preview: Callable[[], Image] | None = None) -> bool:
        """See `Watch.step`."""
        self._step = (done, total)
        self._preview = preview
        return not (self._interrupted or self._skipped)

    def interrupt(self) -> None:
        """End the whole job after the step that runs now."""
        self._interrupted = True

    def skip(self) -> None:
        """End this batch after the step that runs now; the job's next batch begins."""
        self._skipped = True

    @property
    def interrupted(self) -> bool:
        """Whether somebody has interrupted it."""
        return self._interrupted

    @property
    def preview(self) -> Callable[[], Image] | None:
        """Makes a picture of the latest step."""
        return self._preview

    def status(self, waiting: int) -> Status:
        """A snapshot."""
        step, steps = self._step
        return Status(
            job=self._name,
            job_started=self._started,
            seconds=self._monotonic() - self._began,
            rounds=self._rounds,
            round=self._round,
            step=step,
            steps=steps,
            skipped=self._skipped,
            interrupted=self._interrupted,
            waiting=waiting,
        )


class Device:
    """Runs jobs one after another on a thread of their own."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float], max_waiting: int = 64) -> None:
        self._now = now
        self._monotonic = monotonic
        self._max_waiting = max_waiting
        self._turn = asyncio.Lock()  # hands over in the order of asking
        # One thread for all of its life: CUDA contexts and compiled graphs belong to the thread that made them.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="device")
        self._current: Job | None = None
        self._waiting = 0
        self._last = Status()

    async def run(
        self, name: str, work: Callable[[Job], T], gone: Callable[[], Awaitable[bool]] | None = None
    ) -> T | None:
        """Wait for the device, then do the work on its thread.

        None when `gone` (asked once the turn has come) says that the client has left: nobody would see the result.
        Raises `RuntimeBusy` when too many wait already, and whatever `work` raises.
        """
        if self._waiting >= self._max_waiting:
            raise RuntimeBusy(f"{self._waiting} requests wait for the device already; try again later")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            if gone is not None and await gone():
                return None
            self._current = job = Job(name, self._now(), self._monotonic)
            try:
                # Shielded: a request that is cancelled must not free the device while its thread still works.
                future = asyncio.get_running_loop().run_in_executor(self._thread, work, job)
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                job.interrupt()
                await asyncio.wait([future])
                raise
            finally:
                self._last = job.status(self._waiting)
                self._current = None
        finally:
            self._turn.release()

    def interrupt(self) -> None:
        """Stop the running job; those that wait are not touched. Nothing happens when the device is idle."""
        if self._current is not None:
            self._current.interrupt()

    def skip(self) -> None:
        """Stop the running batch."""
        if self._current is not None:
            self._current.skip()

    def forget(self) -> None:
        """The last job was none of a client's: an idle device says again that it has had none."""
        self._last = Status()

    @property
    def status(self) -> Status:
        """What it does now. Idle, it remembers how the last job ended, as SD Web UI does."""
        if self._current is not None:
            return self._current.status(self._waiting)
        last = self._last
        return Status(
            job_started=last.job_started,
            steps=last.steps,
            skipped=last.skipped,
            interrupted=last.interrupted,
            waiting=self._waiting,
        )

    @property
    def preview(self) -> Callable[[], Image] | None:
        """Makes a picture of the running job's latest step."""
        return self._current.preview if self._current is not None else None

    def close(self) -> None:
        """Interrupt the running job and wait for its thread to end."""
        self.interrupt()
        self._thread.shutdown(wait=True, cancel_futures=True)
