"""Waiting at a gateway: one looks after all tasks that somebody waits for, a hundred with one question.

Who waits for the same task shares the look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from darkroom.api.waiting import FIRST_DELAY_SECONDS, GROWTH, LONGEST_DELAY_SECONDS, Sleep, Submissions, newer
from darkroom.errors import AwsFailure
from darkroom.tasks.record import TaskRecord

# How often it looks whose turn it is: tasks whose turns are near each other are asked for together.
_TICK_SECONDS = 0.1


class _Waited:
    """A submission that somebody waits for: its newest record, when it is looked at next, and who waits."""

    def __init__(self, record: TaskRecord, now: float) -> None:
        self.latest = record
        self.delay = FIRST_DELAY_SECONDS
        self.due_at = now + self.delay
        self.waiters: dict[asyncio.Future[TaskRecord], TaskRecord] = {}

    def seen(self, record: TaskRecord | None) -> None:
        """Take in what was read, and wake whoever has waited for it."""
        self.latest = newer(self.latest, record)
        for future, known in self.waiters.items():
            if self.latest.status is not known.status and not future.done():
                future.set_result(self.latest)

    def looked_at(self, now: float) -> None:
        """Say when it is looked at next."""
        self.delay = min(LONGEST_DELAY_SECONDS, self.delay * GROWTH)
        self.due_at = now + self.delay


class SharedWaiter:
    """Waits for many tasks. `monotonic` is a clock in seconds that only grows; `close` ends every wait."""

    def __init__(self, records: Submissions, monotonic: Callable[[], float], sleep: Sleep = asyncio.sleep) -> None:
        self._records = records
        self._monotonic = monotonic
        self._sleep = sleep
        self._waited: dict[str, _Waited] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    async def until_changed(self, record: TaskRecord, seconds: float) -> TaskRecord:
        """See `Waiter`."""
        if self._closed:
            return record
        waited = self._waited.get(record.submission_id)
        if waited is None:
            waited = self._waited[record.submission_id] = _Waited(record, self._monotonic())
        waited.seen(record)
        future: asyncio.Future[TaskRecord] = asyncio.get_running_loop().create_future()
        waited.waiters[future] = record
        waited.seen(None)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            with suppress(TimeoutError):
                return await asyncio.wait_for(future, seconds)
            return waited.latest
        finally:
            del waited.waiters[future]
            if not waited.waiters and self._waited.get(record.submission_id) is waited:
                del self._waited[record.submission_id]

    def close(self) -> None:
        """Tell everybody who waits how things are now: the gateway ends."""
        self._closed = True
        for waited in self._waited.values():
            for future in waited.waiters:
                if not future.done():
                    future.set_result(waited.latest)

    async def _look(self) -> None:
        while self._waited:
            await self._sleep(_TICK_SECONDS)
            now = self._monotonic()
            due = {id_: waited for id_, waited in self._waited.items() if waited.due_at <= now}
            if not due:
                continue
            try:
                found = await self._records.get_submissions(list(due))
            except AwsFailure as failure:
                _fail(due, failure)
                continue
            for id_, waited in due.items():
                waited.looked_at(self._monotonic())
                waited.seen(found.get(id_))


def _fail(due: dict[str, _Waited], failure: AwsFailure) -> None:
    for waited in due.values():
        for future in waited.waiters:
            if not future.done():
                future.set_exception(failure)
