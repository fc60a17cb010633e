"""All that can be done for a job before it needs the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.aws.bucket import Bucket
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsFailure
from darkroom.policy.links import find_links
from darkroom.runtimes.links import LinkFetcher
from darkroom.runtimes.memory import NoRoom
from darkroom.runtimes.protocol import GenerationRequest, InputFile, Prepared, Runtime
from darkroom.tasks.notification import Notification
from darkroom.tasks.task import Status


@dataclass(frozen=True)
class AlreadyDone:
    """An earlier delivery of the same submission came to an end, and this is what was notified."""

    notification: Notification


@dataclass(frozen=True)
class NotToBeRun:
    """Nobody wants the pictures any more: the task ends in this status."""

    status: Status
    reason: str


class RecordedEnd(msgspec.Struct):
    """The part of an `.out` object that says how the task ended."""

    notification: Notification


@dataclass(frozen=True)
class TimeLimits:
    """In seconds: a generation's time where the task does not say, at most; and in the queue (None: without end)."""

    default_seconds: float
    maximum_seconds: float
    expiry_seconds: float | None = None


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
    ) -> None:
        self._runtime = runtime
        self._links = links
        self._bucket = bucket
        self._table = table
        self._limits = limits
        self._clock = clock

    async def prepare(self, job: Job) -> Prepared | AlreadyDone | NotToBeRun:
        """Make `job` ready to run. Raises whatever hinders it."""
        if job.tries.received > 1:
            done = await self.find_end(job)
            if done is not None:
                return done
        waited = self._clock.now() - job.submitted_at
        if self._limits.expiry_seconds is not None and waited > self._limits.expiry_seconds:
            return NotToBeRun(
                Status.EXPIRED, f"waited {waited:.0f} s in the queue; the limit is {self._limits.expiry_seconds:g} s"
            )
        if await self.is_cancelled(job):
            return NotToBeRun(Status.CANCELLED, "cancelled before it began")
        files = await self._fetch(job)
        request = GenerationRequest(
            task_id=job.task.id,
            kind=job.task.kind,
            content=job.task.content,
            files=files,
            timeout_seconds=min(job.task.timeout_seconds or self._limits.default_seconds, self._limits.maximum_seconds),
            memory=job.memory.answer,
        )
        return await self._runtime.prepare(request)

    async def _fetch(self, job: Job) -> Mapping[str, InputFile]:
        """What the links lead to. Where memory is short, begin anew when there is room, holding none meanwhile."""
        memory = job.memory.inputs
        links = list(find_links(job.task.content))
        while True:
            try:
                return await self._links.fetch_all(links, memory)
            except NoRoom as short:
                await memory.wait_for_about(short.needed_bytes)

    async def find_end(self, job: Job) -> AlreadyDone | None:
        """Look for the record of an end: a task that has one must not end again in another way."""
        recorded = await self._bucket.find(job.objects.output_key)
        return None if recorded is None else AlreadyDone(msgspec.json.decode(recorded, type=RecordedEnd).notification)

    async def is_cancelled(self, job: Job) -> bool:
        """Whether a user has asked for this submission to be stopped; when that cannot be known, it has not."""
        if self._table is None:
            return False
        try:
            record = await self._table.get(job.task.id)
        except AwsFailure:
            return False
        return record is not None and record.cancel_requested and record.submission_id == job.delivery.submission_id
