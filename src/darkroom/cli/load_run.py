"""A load test: requests at a rate, or so many at a time, and what became of each."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from darkroom.client import AsyncClient, DarkroomError, Status, TaskRequest, TaskView
from darkroom.client.failures import why_it_failed


@dataclass(frozen=True)
class Load:
    """How much is sent: `rate` tasks a second, or else `concurrency` at a time, for `seconds`.

    `patience_seconds` is how long a task may take before it is given up, counted from when it was sent.
    """

    seconds: float
    patience_seconds: float
    rate: float | None = None
    concurrency: int = 1


@dataclass(frozen=True)
class Sample:
    """What became of one request; times are in seconds.

    `sent_at` counts from the beginning of the test. `accepted` is how long the front door took, `total` how long it was
    until the task had ended. `waited` and `on_device` are as its record tells them. `error` is the type of what went
    wrong, `reason` how it was told.
    """

    sent_at: float
    accepted: float | None = None
    total: float | None = None
    waited: float | None = None
    on_device: float | None = None
    error: str | None = None
    reason: str | None = None


@dataclass
class Progress:
    """How far a test is, for whoever looks on."""

    began_at: float
    sent: int = 0
    accepted: int = 0
    samples: list[Sample] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)

    @property
    def failures(self) -> Counter[str]:
        """How many of each kind went wrong."""
        return Counter(sample.error for sample in self.samples if sample.error is not None)

    @property
    def reasons(self) -> dict[str, str]:
        """Of each kind, how the first one was told."""
        told = [(sample.error, sample.reason) for sample in reversed(self.samples)]
        return {error: reason for error, reason in told if error is not None and reason}


class LoadTest:
    """Sends what `next_request` makes through `client`, as `load` says; `clock` is in seconds and only grows."""

    def __init__(
        self,
        client: AsyncClient,
        load: Load,
        next_request: Callable[[], TaskRequest],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._load = load
        self._next_request = next_request
        self._clock = clock
        self.progress = Progress(clock())

    async def run(self) -> Progress:
        """Send, and wait for what was sent. When it is cancelled, what has not ended is asked to stop."""
        self.progress.began_at = self._clock()
        try:
            if self._load.rate is None:
                await asyncio.gather(*(self._one_after_another() for _ in range(self._load.concurrency)))
            else:
                await self._at_a_rate(self._load.rate)
        except asyncio.CancelledError:
            await self._stop_the_rest()
            raise
        return self.progress

    async def _one_after_another(self) -> None:
        while self._elapsed() < self._load.seconds:
            await self._one()

    async def _at_a_rate(self, rate: float) -> None:
        """Send whether or not earlier tasks have ended: people do not wait for each other."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(math.ceil(self._load.seconds * rate)):
                await asyncio.sleep(max(0.0, number / rate - self._elapsed()))
                tasks.create_task(self._one())

    async def _one(self) -> None:
        request, sent_at = self._next_request(), self._elapsed()
        self.progress.sent += 1
        accepted: float | None = None
        try:
            job = await self._client.submit(request, timeout_seconds=self._load.patience_seconds)
            accepted = self._elapsed() - sent_at
            self.progress.accepted += 1
            self.progress.under_way.add(job.id)
            left = max(1.0, self._load.patience_seconds - accepted)
            view = await job.wait(timeout_seconds=left)
        except DarkroomError as error:
            self.progress.samples.append(Sample(sent_at, accepted, error=error.type, reason=str(error)))
        else:
            self.progress.samples.append(_sample(view, sent_at, accepted, self._elapsed() - sent_at))
        self.progress.under_way.discard(request.id)

    async def _stop_the_rest(self) -> None:
        async def cancel(task_id: str) -> None:
            with suppress(DarkroomError):  # it goes on, or has ended
                await self._client.cancel(task_id, timeout_seconds=5)

        await asyncio.gather(*(cancel(task_id) for task_id in list(self.progress.under_way)))

    def _elapsed(self) -> float:
        return self._clock() - self.progress.began_at


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that so large a share of them does not exceed (nearest rank); `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _sample(view: TaskView, sent_at: float, accepted: float, total: float) -> Sample:
    waited = None if view.started_at is None else max(0.0, (view.started_at - view.created_at).total_seconds())
    error = reason = None
    if view.status is not Status.COMPLETED:
        error, reason = view.status.value, why_it_failed(view)
        if view.error is not None:
            error = view.error.type
    return Sample(sent_at, accepted, total, waited, view.device_seconds, error, reason)
