"""What the table of task records is told of a job: that it runs, why it waits, and how it ended.

The table is a service and not the truth: whatever it takes amiss is logged and no more, and no task waits for it that
has not ended. That a task runs is written beside its generation; why it waits, before it is given back, so that nobody
else has it yet, and for no longer than a moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from darkroom.agent.clock import Clock
from darkroom.agent.intake import Unreadable
from darkroom.agent.job import Job
from darkroom.agent.outages import Outages
from darkroom.aws.task_table import Advanced, TaskTable
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.telling import LONGEST_MODEL_NAME, LONGEST_REASON, after_tries, record_of, shortened
from darkroom.tasks.notification import Notification
from darkroom.tasks.record import Setback, TaskRecord
from darkroom.tasks.task import Status

# How long a message may be held up for its record.
_PATIENCE_SECONDS = 2.0
# A record may have eight of these.
_LONGEST_SETBACK = 200


class TaskRecords:
    """Writes the records of jobs into `table`, as the agent `agent_name`; without a table, nothing.

    `patience_seconds` is how long a message waits for the record of its task's end.
    """

    def __init__(
        self,
        table: TaskTable | None,
        outages: Outages,
        clock: Clock,
        *,
        agent_name: str,
        patience_seconds: float = 60.0,
    ) -> None:
        self._table = table
        self._outages = outages
        self._clock = clock
        self._agent_name = agent_name
        self._patience_seconds = patience_seconds

    async def runs(self, job: Job, told: Notification) -> Advanced | None:
        """Write that a job has the device; return None where it had an end, and keeps it. Raises an `AwsFailure`."""
        if job.noting is not None:
            await asyncio.gather(job.noting, return_exceptions=True)
        if self._table is None:
            return Advanced(is_to_be_stopped=False)
        advanced = await self._table.advance(self._record_of(job, told), begins_try=True)
        job.is_recorded = advanced is not None
        return advanced

    async def waits(self, job: Job, reason: str, delay_seconds: float = 0.0) -> None:
        """Write that a job waits for another try for `reason`, and that it may begin after so many seconds."""
        await self._waits(job, job.tries.received, reason, self._clock.now() + delay_seconds, had_by=self._agent_name)

    async def agent_was_lost(self, job: Job) -> None:
        """Write that the agent that had a job before has gone, and that the job waits for this one's device now."""
        if job.lost_agent is not None:
            reason = f"the agent {job.lost_agent} went away while it had the task"
            number = job.tries.received - 1
            await self._waits(job, number, after_tries(number, reason), None, had_by=job.lost_agent)

    async def ended(self, job: Job, told: Notification, then: Callable[[], Awaitable[None]]) -> None:
        """Write how a job ended, as it was told, and count it; `then` do what ends its message.

        In this order, so that a death in between leaves the message, and whoever gets it next writes and counts. But
        where the table is away for long, the message does not wait for it.
        """
        record = msgspec.structs.replace(self._record_of(job, told), ended_at=self._clock.now())
        counts_try = job.began_at is not None and not job.is_recorded
        await self._in_order(self._write_end(record, begins_try=counts_try, is_pointed_to=job.is_recorded), then)

    async def ended_unreadable(
        self, unreadable: Unreadable, told: Notification, then: Callable[[], Awaitable[None]]
    ) -> None:
        """The same of a message that is no task, where what is known of it suffices for a record."""
        if unreadable.objects is None:
            await then()
            return
        now = self._clock.now()
        record = record_of(
            told, unreadable.objects, caller=unreadable.caller, submitted_at=unreadable.submitted_at, now=now
        )
        await self._in_order(self._write_end(msgspec.structs.replace(record, ended_at=now)), then)

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
        record = record_of(
            told,
            job.objects,
            caller=job.caller,
            submitted_at=job.submitted_at,
            now=self._clock.now(),
            kind=job.task.kind,
            webhook=job.task.webhook,
        )
        record = msgspec.structs.replace(record, deadline=job.task.deadline, priority=job.task.priority)
        if job.began_at is None:
            return record
        return msgspec.structs.replace(
            record,
            received_at=self._clock.now() - (self._clock.monotonic() - job.received_at),
            prepared_at=job.prepared_at,
            stored_at=job.stored_at,
            started_at=job.began_at,
            agent=self._agent_name,
            model=None if job.model is None else shortened(job.model, LONGEST_MODEL_NAME),
            device_seconds=None if job.device_seconds is None else round(job.device_seconds, 3),
        )

    async def _waits(self, job: Job, number: int, reason: str, next_try_at: float | None, *, had_by: str) -> None:
        if self._table is None:
            return
        told = Notification(id=job.task.id, status=Status.QUEUED, runtime=job.task.runtime, context=job.task.context)
        record = msgspec.structs.replace(
            self._record_of(job, told),
            waits_because=shortened(reason, LONGEST_REASON),
            next_try_at=next_try_at,
            setbacks=[Setback(number, self._clock.now(), shortened(reason, _LONGEST_SETBACK), had_by)],
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._table.advance(record, only_after=had_by)
        except (AwsFailure, TimeoutError) as error:
            text = str(error) or f"the table took longer than {_PATIENCE_SECONDS:g} s"
            log(logging.WARNING, "task.announce_failed", text, **job.log_fields)

    async def _in_order(self, writing: Coroutine[Any, Any, None], then: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(writing, name="record")
        try:
            await asyncio.wait({task}, timeout=self._patience_seconds)
            await then()
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _write_end(self, record: TaskRecord, *, begins_try: bool = False, is_pointed_to: bool = False) -> None:
        """Write how a task ended; the notification is out, so a fault here must not bring the message back."""
        table = self._table
        if table is None:
            return
        try:
            await self._outages.persistently(
                lambda: table.end(record, begins_try=begins_try, is_pointed_to=is_pointed_to)
            )
        except AwsFailure as error:
            fields = {"task_id": record.id, "submission_id": record.submission_id}
            log(logging.ERROR, "task.record_failed", str(error), **fields)
