"""All that can be done for a job before it needs the device."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.agent.clock import Clock
from darkroom.agent.ends import Ends
from darkroom.agent.job import Job
from darkroom.agent.marking import Marking
from darkroom.agent.origins import Origins
from darkroom.aws.bucket import Bucket
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsFailure
from darkroom.policy.ends import Ended
from darkroom.policy.expiry import why_too_late
from darkroom.runtimes.links import LinkFetcher
from darkroom.runtimes.memory import NoRoom
from darkroom.runtimes.protocol import GenerationRequest, InputFile, Prepared, Runtime
from darkroom.tasks.notification import Notification
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import JsonObject, Status


@dataclass(frozen=True)
class AlreadyDone:
    """An earlier delivery of the same submission came to an end, and this is what was notified."""

    notification: Notification


@dataclass(frozen=True)
class NotToBeRun:
    """Nobody wants the pictures any more: the task ends in this status."""

    status: Status
    reason: str


@dataclass(frozen=True)
class TimeLimits:
    """In seconds: a generation's time where its task does not say, and the most that a task may ask for.

    `expiry_seconds` is for its time in the queue; None: without end.
    """

    default_seconds: float
    maximum_seconds: float
    expiry_seconds: float | None = None

    def generation_seconds(self, asked: float | None) -> float:
        """How long a generation may take whose task asks for so long."""
        return min(asked, self.maximum_seconds) if asked else self.default_seconds


class Preparation:
    """Prepares jobs for one runtime."""

    def __init__(
        self,
        runtime: Runtime,
        links: LinkFetcher,
        bucket: Bucket,
        table: TaskTable | None,
        limits: TimeLimits,
        clock: Clock,
        origins: Origins | None = None,
        marking: Marking | None = None,
    ) -> None:
        self._runtime = runtime
        self._links = links
        self._ends = Ends(bucket)
        self._table = table
        self._limits = limits
        self._clock = clock
        self._origins = origins
        self._marking = marking

    async def prepare(self, job: Job) -> Prepared | AlreadyDone | NotToBeRun:
        """Make `job` ready to run, and note how its pictures come to be. Raises whatever hinders it.

        Links are fetched while AWS is asked whether the task is still wanted, so that asking takes no time of its own.
        """
        too_late = self.judge_waiting(job)
        # What has waited too long needs no links.
        links = asyncio.create_task(self._fetch(job, {} if too_late is not None else job.task.content))
        try:
            # Of every message, not only of those that were received before: a message may have been published twice.
            done, record = await asyncio.gather(self.find_end(job), self._record(job))
            if done is not None:
                return done
            if too_late is not None:
                return too_late
            if record is not None and record.cancel_requested:
                return NotToBeRun(Status.CANCELLED, "cancelled before it began")
            if record is not None and record.status is Status.RUNNING and job.tries.received > 1:
                job.lost_agent = record.agent
            if self._marking is not None:
                self._marking.refuse_if_unable()
            files = await links
        finally:
            links.cancel()
            await asyncio.gather(links, return_exceptions=True)
        request = GenerationRequest(
            task_id=job.task.id,
            submission_id=job.delivery.submission_id,
            kind=job.task.kind,
            content=job.task.content,
            files=files,
            timeout_seconds=self._limits.generation_seconds(job.task.timeout_seconds),
            memory=job.memory.answer,
        )
        if self._origins is not None:
            job.origin = await self._origins.of(job.task, job.delivery.submission_id, files)
        return await self._runtime.prepare(request)

    async def _fetch(self, job: Job, content: JsonObject) -> Mapping[str, InputFile]:
        """What the links in `content` lead to.

        Where memory is short, this begins anew when there is room, and holds none meanwhile.
        """
        if not content:
            return {}
        memory, wanted = job.memory.inputs, await self._runtime.wanted_links(content)
        while True:
            try:
                return await self._links.fetch_all(wanted, memory, job.caller)
            except NoRoom as short:
                await memory.wait_for_about(short.needed_bytes)

    def judge_waiting(self, job: Job) -> NotToBeRun | None:
        """Whether the task has waited too long."""
        reason = why_too_late(
            now=self._clock.now(),
            submitted_at=job.submitted_at,
            most_seconds=self._limits.expiry_seconds,
            deadline=job.task.deadline,
            tries=job.tries.received - 1,
        )
        return None if reason is None else NotToBeRun(Status.EXPIRED, reason)

    async def find_end(self, job: Job) -> AlreadyDone | None:
        """Look for the record of an end: a submission that has one must not end again in another way.

        Raises an `AwsFailure`.
        """
        looked_at = self._clock.monotonic()
        found = await self._ends.find(job.objects)
        job.looked_at = looked_at
        return AlreadyDone(found.notification) if isinstance(found, Ended) else None

    async def is_cancelled(self, job: Job) -> bool:
        """Whether a user has asked for this submission to be stopped; when that cannot be known, it has not."""
        record = await self._record(job)
        return record is not None and record.cancel_requested

    async def _record(self, job: Job) -> TaskRecord | None:
        """The record of a submission; None where there is none, or it cannot be read."""
        if self._table is None:
            return None
        try:
            return await self._table.get_submission(job.delivery.submission_id)
        except AwsFailure:
            return None
