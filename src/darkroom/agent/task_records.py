"""What the table of task records is told of a job: that it runs, and how it ended.

The table is a service and not the truth: whatever it takes amiss is logged and no more, and no task waits for it that
has not ended.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from darkroom.agent.clock import Clock
from darkroom.agent.intake import Unreadable
from darkroom.agent.job import Job
from darkroom.agent.outages import Outages
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.telling import record_of
from darkroom.tasks.notification import Notification
from darkroom.tasks.record import TaskRecord


class TaskRecords:
    """Writes the records of jobs into `table`; without one, nothing."""

    def __init__(self, table: TaskTable | None, outages: Outages, clock: Clock) -> None:
        self._table = table
        self._outages = outages
        self._clock = clock

    async def runs(self, job: Job, told: Notification) -> bool:
        """Write that a job has the device, and return whether it had no end to keep. Raises an `AwsFailure`."""
        return await self._write(self._record_of(job, told))

    async def ended(self, job: Job, told: Notification) -> None:
        """Write how a job ended, as it was told."""
        await self._write_quietly(self._record_of(job, told))

    async def ended_unreadable(self, unreadable: Unreadable, told: Notification) -> None:
        """Write how a message ended that is no task, where what is known of it suffices for a record."""
        if unreadable.objects is None:
            return
        record = record_of(
            told,
            unreadable.objects,
            caller=unreadable.caller,
            submitted_at=unreadable.submitted_at,
            now=self._clock.now(),
        )
        await self._write_quietly(record)

    async def context_of(self, unreadable: Unreadable) -> Any:
        """The context of a message that is no task: its own, or else what the front door has recorded of it."""
        if unreadable.context is not None or unreadable.objects is None or self._table is None:
            return {} if unreadable.context is None else unreadable.context
        with suppress(AwsFailure):
            record = await self._table.get_submission(unreadable.submission_id)
            if record is not None and record.context is not None:
                return record.context
        return {}

    def _record_of(self, job: Job, told: Notification) -> TaskRecord:
        return record_of(
            told,
            job.objects,
            caller=job.caller,
            submitted_at=job.submitted_at,
            now=self._clock.now(),
            kind=job.task.kind,
        )

    async def _write(self, record: TaskRecord) -> bool:
        """Bring a task's record up to date; return whether it had no other end to keep."""
        return True if self._table is None else await self._table.advance(record)

    async def _write_quietly(self, record: TaskRecord) -> None:
        """Write the record; the notification is out, so a fault here must not bring the message back."""
        try:
            await self._outages.persistently(lambda: self._write(record))
        except AwsFailure as error:
            fields = {"task_id": record.id, "submission_id": record.submission_id}
            log(logging.ERROR, "task.record_failed", str(error), **fields)
