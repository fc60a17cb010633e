"""How far the job on the device is, as its runtime tells, for whoever asks after the task.

Nothing waits for it: a report that comes while the last one is being written, or too soon after it, is dropped, since
the next one says more. So a task that is shorter than the pause costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.aws.progress import ProgressTable
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.runtimes import protocol
from darkroom.tasks.progress import Progress, ProgressReport

# Two decimals more than a percentage; a float's other digits cost bytes and say nothing.
_DIGITS = 4


@dataclass
class _Writing:
    """What was written of one job: when last, by the monotonic clock, and whether a fault was logged."""

    last_at: float
    task: asyncio.Task[None] | None = None
    is_known_to_fail: bool = False


class ProgressNotes:
    """Writes progress into `table`, of a job at most every `pause_seconds`; without a table, nothing."""

    def __init__(self, table: ProgressTable | None, clock: Clock, pause_seconds: float) -> None:
        self._table = table
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._writings: dict[Job, _Writing] = {}

    def begin(self, job: Job) -> None:
        """Note that a job has the device now."""
        if self._table is None:
            return
        writing = self._writings[job] = _Writing(self._clock.monotonic())
        if job.tries.received > 1:  # what an earlier try has told is true no more
            self._write(self._table, job, writing, Progress(value=0.0))

    def report(self, job: Job, progress: protocol.Progress) -> None:
        """Write down how far a job is that has the device, if it is time to."""
        writing = self._writings.get(job)
        if self._table is None or writing is None or (writing.task is not None and not writing.task.done()):
            return
        if self._clock.monotonic() - writing.last_at >= self._pause_seconds:
            told = Progress(value=round(progress.fraction, _DIGITS), step=progress.step, steps=progress.steps)
            self._write(self._table, job, writing, told)

    def end(self, job: Job) -> None:
        """Note that a job has the device no more."""
        writing = self._writings.pop(job, None)
        if writing is not None and writing.task is not None:
            writing.task.cancel()

    def _write(self, table: ProgressTable, job: Job, writing: _Writing, progress: Progress) -> None:
        report = ProgressReport(
            submission_id=job.delivery.submission_id,
            task_id=job.task.id,
            caller=job.caller,
            progress=progress,
            updated_at=self._clock.now(),
        )

        async def write() -> None:
            try:
                await table.write(report)
            except AwsFailure as error:
                if not writing.is_known_to_fail:
                    log(logging.WARNING, "task.announce_failed", str(error), **job.log_fields)
                writing.is_known_to_fail = True

        writing.last_at = self._clock.monotonic()
        writing.task = asyncio.create_task(write(), name="progress")
