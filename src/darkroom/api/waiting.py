"""Waiting until a task's status changes: what `?wait=` does, cheap for the table whoever waits and however many.

An AWS Lambda instance answers one request at a time, so `AloneWaiter` looks after one task, and sleeps between. Nothing
here needs an event loop: loading one would take longer than most requests. A gateway's is in `shared_waiting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from darkroom.tasks.record import TaskRecord

# Each pause is a tenth longer than the one before, so nobody waits for much more than a tenth longer than he must.
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 1.0
GROWTH = 1.1

Sleep = Callable[[float], Awaitable[None]]


class Submissions(Protocol):
    """Where the records of submissions are."""

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """Read those of these records that are there, by their submissions' ids; they may be a little old."""
        ...


class Waiter(Protocol):
    """Waits for a task."""

    async def until_changed(self, record: TaskRecord, seconds: float) -> TaskRecord:
        """The record of the same submission once its status is another one, or after so many seconds as it is then.

        May raise an `AwsFailure`.
        """
        ...


class AloneWaiter:
    """Waits for one task at a time. `monotonic` is a clock in seconds that only grows."""

    def __init__(self, records: Submissions, sleep: Sleep, monotonic: Callable[[], float]) -> None:
        self._records = records
        self._sleep = sleep
        self._monotonic = monotonic

    async def until_changed(self, record: TaskRecord, seconds: float) -> TaskRecord:
        """See `Waiter`."""
        until, delay, latest = self._monotonic() + seconds, FIRST_DELAY_SECONDS, record
        while latest.status is record.status and (left := until - self._monotonic()) > 0:
            await self._sleep(min(delay, left))
            delay = min(LONGEST_DELAY_SECONDS, delay * GROWTH)
            found = await self._records.get_submissions([record.submission_id])
            latest = newer(latest, found.get(record.submission_id))
        return latest


def newer(known: TaskRecord, read: TaskRecord | None) -> TaskRecord:
    """What was read, unless it is older than what is known: the table may answer with what was there before."""
    return known if read is None or read.updated_at < known.updated_at else read
