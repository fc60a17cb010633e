"""How far the job on the device is, as its runtime tells, and whether anybody still wants it: one request for both.

Whoever cancels a task that runs notes that in the item of its progress. So a report that is written finds it out by
itself, since it is only taken where no such note is; where the runtime has told nothing new, the note is looked for.

Nothing waits for either: what is told while a report is being written, or too soon after it, is kept back, and only the
newest of it is written next. So a task that is shorter than the pause costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.aws.progress import ProgressTable
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.runtimes import protocol
from darkroom.tasks.progress import Progress, ProgressReport

# How often it is looked whether a task that runs was cancelled.
_SECONDS_BETWEEN_LOOKS = 2.0
# A sleep may end a moment early by another clock.
_SLACK_SECONDS = 0.01
# Two decimals more than a percentage; a float's other digits cost bytes and say nothing.
_DIGITS = 4


@dataclass
class _Watch:
    """What is to be told of one job, and when its progress was written and its item touched last: monotonic times."""

    written_at: float
    touched_at: float
    news: Progress | None = None
    keeper: asyncio.Task[None] | None = None
    is_known_to_fail: bool = False


class ProgressNotes:
    """Writes progress into `table`, of a job at most every `pause_seconds` (None: never), and looks for cancellations.

    Without a table, it does nothing.
    """

    def __init__(self, table: ProgressTable | None, clock: Clock, pause_seconds: float | None) -> None:
        self._table = table
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._watches: dict[Job, _Watch] = {}

    def begin(self, job: Job, on_cancelled: Callable[[], None]) -> None:
        """Note that a job has the device now; `on_cancelled` is called once, when somebody has cancelled it."""
        if self._table is None:
            return
        now = self._clock.monotonic()
        watch = self._watches[job] = _Watch(now, now)
        if self._pause_seconds is not None and job.tries.received > 1:
            watch.news = Progress(value=0.0)  # what an earlier try has told is true no more
            watch.written_at = float("-inf")
        watch.keeper = asyncio.create_task(self._keep(self._table, job, watch, on_cancelled), name="progress")

    def report(self, job: Job, progress: protocol.Progress) -> None:
        """Take how far a job is that has the device, to be written when it is time to."""
        watch = self._watches.get(job)
        if watch is not None and self._pause_seconds is not None:
            watch.news = Progress(value=round(progress.fraction, _DIGITS), step=progress.step, steps=progress.steps)

    def end(self, job: Job) -> None:
        """Note that a job has the device no more."""
        watch = self._watches.pop(job, None)
        if watch is not None and watch.keeper is not None:
            watch.keeper.cancel()

    async def _keep(self, table: ProgressTable, job: Job, watch: _Watch, on_cancelled: Callable[[], None]) -> None:
        pause = _SECONDS_BETWEEN_LOOKS if self._pause_seconds is None else self._pause_seconds
        while True:
            try:
                if await self._is_cancelled(table, job, watch):
                    on_cancelled()
                    return
            except AwsFailure as error:
                if not watch.is_known_to_fail:
                    log(logging.WARNING, "task.announce_failed", str(error), **job.log_fields)
                watch.is_known_to_fail = True
            await self._clock.sleep(min(pause, _SECONDS_BETWEEN_LOOKS))

    async def _is_cancelled(self, table: ProgressTable, job: Job, watch: _Watch) -> bool:
        """Write what is to be told, or look, if it is time to either. Raises an `AwsFailure`."""
        now, news = self._clock.monotonic() + _SLACK_SECONDS, watch.news
        submission_id = job.delivery.submission_id
        if news is not None and self._pause_seconds is not None and now >= watch.written_at + self._pause_seconds:
            watch.news, watch.written_at, watch.touched_at = None, now, now
            report = ProgressReport(
                submission_id=submission_id,
                task_id=job.task.id,
                caller=job.caller,
                progress=news,
                updated_at=self._clock.now(),
            )
            return not await table.write(report)
        if now >= watch.touched_at + _SECONDS_BETWEEN_LOOKS:
            watch.touched_at = now
            return await table.is_to_be_stopped(submission_id)
        return False
