"""The queue agent's pipeline: the way of one message.

    queue ──receive──► lease ──► intake ──► preparation ──► device ──► collect ──► settlement ──► acknowledged
                         │                                     │                       │
                         └── kept while any of this goes on    └── one at a time       └── stored, recorded, notified

Every message has a coroutine of its own, `handle`, which walks this line from left to right. Only the device is
narrow: while one job occupies it, the next one is fetched and prepared, and the last one's pictures are stored.

How work ends is a value (`darkroom.policy.outcomes`): acknowledge, give back, fail for good, or dead-letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from darkroom.agent.aftermath import Aftermath
from darkroom.agent.budget import JobMemory
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.generating import Generating
from darkroom.agent.intake import Unreadable
from darkroom.agent.job import Job, uncancel
from darkroom.agent.lease import Lease
from darkroom.agent.pace import Pace
from darkroom.agent.parts import AgentParts
from darkroom.agent.preparation import AlreadyDone, NotToBeRun
from darkroom.agent.spans import Span
from darkroom.errors import AwsFailure, AwsUnavailable, DarkroomError, GenerationFailed, LeaseLost, RuntimeFailure
from darkroom.logs import log, logger
from darkroom.policy.diagnosis import is_suspicious
from darkroom.runtimes.protocol import Generation, StreamedBody


@dataclass(eq=False)
class Arrival:
    """A message that is being read. `stop_reason` is set by whoever stops that from outside."""

    activity: asyncio.Task[None] | None
    stop_reason: DarkroomError | None = None

    def stop(self, reason: DarkroomError) -> None:
        """End the reading, for `reason`."""
        if self.stop_reason is None and self.activity is not None:
            self.stop_reason = reason
            self.activity.cancel()


class Pipeline:
    """Walks messages to their ends. `jobs` are those on their way, `arrivals` those that are still to be read.

    `model` is the checkpoint that the last pictures were made with, where that is known.

    `has_arrived` is called when a message gets ready no longer: it waits for the device, or has come to an end;
    `start` runs a coroutine beside the others, until the agent's end.
    """

    def __init__(
        self,
        parts: AgentParts,
        generating: Generating,
        diagnosis: Diagnosis,
        aftermath: Aftermath,
        pace: Pace,
        stopping: asyncio.Event,
        *,
        has_arrived: Callable[[Lease], None],
        start: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._generating = generating
        self._diagnosis = diagnosis
        self._aftermath = aftermath
        self._pace = pace
        self._stopping = stopping
        self._has_arrived = has_arrived
        self._start = start
        self.model: str | None = None
        self.jobs: set[Job] = set()
        self.arrivals: set[Arrival] = set()

    async def handle(self, lease: Lease, received_at: float) -> None:
        """Walk one message from its receipt to its end, within a span of its own."""
        with self._parts.spans.task(lease.message) as span, self._parts.budget.for_job() as memory:
            await self._walk(lease, received_at, span, memory)

    async def _walk(self, lease: Lease, received_at: float, span: Span, memory: JobMemory) -> None:
        try:
            job = await self._read(lease, span, memory)
            if job is None:
                return
            job.span = span
            span.note(task_id=job.task.id, kind=job.task.kind.value, submission_id=job.delivery.submission_id)
            if self._stopping.is_set():
                await self._aftermath.hand_back(lease)
                return
            if self._parts.outages:  # it began while the message was being read
                await self._aftermath.hand_back_for_later(lease)
                return
            job.activity = asyncio.current_task()
            twins = self._twins(job)
            self.jobs.add(job)
            lease.keep(on_lost=job.stop, on_beat=lambda: self._on_beat(job))
            try:
                if twins:
                    received_at = await self._wait_for(twins, job)
                await self._end(job, received_at)
            except asyncio.CancelledError:
                if job.stop_reason is None:
                    raise
                uncancel()
                await self._aftermath.after_stop(job, job.stop_reason)
            finally:
                self.jobs.discard(job)
                self._diagnosis.tell()
        except AwsFailure as error:
            # Not even the end could be told. The message comes back when its visibility runs out, if not before.
            span.fail(error.type)
            self._parts.metrics.given_back(error.type)
            log(logging.ERROR, "message.left", str(error), message_id=lease.message.message_id)
            if isinstance(error, AwsUnavailable):
                await self._aftermath.hand_back_for_later(lease)
        finally:
            self._has_arrived(lease)
            lease.drop()

    async def _read(self, lease: Lease, span: Span, memory: JobMemory) -> Job | None:
        """Read the message; settle one that cannot be read or was tried too often."""
        arrival = Arrival(asyncio.current_task())
        self.arrivals.add(arrival)
        lease.keep(on_lost=arrival.stop)  # its payload may be slow to come, or wait for memory
        try:
            found = await self._parts.intake.read(lease, memory)
        except asyncio.CancelledError:
            if arrival.stop_reason is None:
                raise
            uncancel()
            log(logging.INFO, "message.given_back", str(arrival.stop_reason), message_id=lease.message.message_id)
            self._parts.metrics.given_back(arrival.stop_reason.type)
            if not isinstance(arrival.stop_reason, LeaseLost):
                await self._aftermath.hand_back(lease)
            return None
        except AwsFailure as error:
            log(logging.WARNING, "message.given_back", str(error), message_id=lease.message.message_id)
            span.fail(error.type)
            self._parts.metrics.given_back(error.type)
            await self._aftermath.hand_back_for_later(lease)
            return None
        finally:
            self.arrivals.discard(arrival)
        if isinstance(found, Unreadable):
            span.fail(found.error.type)
            await self._parts.settlement.bury_unreadable(lease, found)
            return None
        return found

    async def _end(self, job: Job, received_at: float) -> None:
        """Do the job, and bring it to its end. Whoever stops it may do so during either."""
        try:
            await self._develop(job, received_at)
        except DarkroomError as error:
            await self._aftermath.after_failure(job, error)
        except Exception as error:
            logger.exception("a fault in Darkroom or in the runtime's adapter")
            await self._aftermath.after_failure(
                job,
                GenerationFailed(f"a fault in Darkroom or in the runtime's adapter: {type(error).__name__}: {error}"),
            )

    def _twins(self, job: Job) -> set[asyncio.Task[None]]:
        """The work on other copies of the same submission here, which began before."""
        submission_id = job.delivery.submission_id
        return {
            other.activity
            for other in self.jobs
            if other.delivery.submission_id == submission_id and other.activity is not None
        }

    async def _wait_for(self, twins: set[asyncio.Task[None]], job: Job) -> float:
        """Let earlier copies of a submission come to their ends first: this one then finds it. Return when that was.

        They would be generated twice otherwise, since the end is not there yet when the later one is prepared.
        """
        self._has_arrived(job.lease)  # others need not wait for it
        await asyncio.wait(twins)
        return self._clock.monotonic()

    async def _develop(self, job: Job, received_at: float) -> None:
        parts = self._parts
        if await self._aftermath.is_superseded(job):
            return
        if job.tries.are_used_up:
            job.settling = True
            tries = job.tries.received - 1
            await self._aftermath.after_last_try(job, GenerationFailed(f"none of {tries} tries came to an end"))
            return
        with parts.spans.part("inputs"):
            ready = await parts.preparation.prepare(job)
        if isinstance(ready, AlreadyDone):
            job.settling = True
            await parts.settlement.repeat(job, ready.notification)
            return
        if isinstance(ready, NotToBeRun):
            job.settling = True
            await parts.settlement.skip(job, ready)
            return
        if job.lost_agent is not None:
            job.noting = asyncio.create_task(parts.records.agent_was_lost(job), name="record")
        job.prepared, job.prepared_at = ready, self._clock.now()
        self._pace.observe_preparing(self._clock.monotonic() - received_at)
        # What the request brought along stands in what was prepared: all of it is counted there, and dropped here.
        job.task = msgspec.structs.replace(job.task, content={})
        job.memory.payload.resize(0)
        job.memory.inputs.resize(ready.size_bytes)
        del ready
        try:
            generation = await self._generate(job)
        except RuntimeFailure as error:
            if not is_suspicious(error):
                raise
            raise await self._diagnosis.judge(job, error) from error
        self._diagnosis.task_succeeded()
        for warning in generation.warnings:
            log(logging.WARNING, "task.warning", warning, **job.log_fields)
        job.memory.answer.resize(_size(generation))
        if job.origin is not None and generation.model is not None:
            job.origin = replace(job.origin, model=generation.model)
        job.settling = True
        await parts.settlement.complete(job, generation)

    async def _generate(self, job: Job) -> Generation:
        """Have the runtime do what was prepared, which is dropped as soon as it has been sent and answered."""
        prepared = job.prepared
        if prepared is None:
            raise AssertionError("the job was prepared")
        self._has_arrived(job.lease)
        result = await self._generating.run(job, prepared)
        job.prepared = None
        del prepared
        job.memory.inputs.resize(0)
        with self._parts.spans.part("collect"):
            generation = await self._parts.runtime.collect(result)
        job.model = self.model = generation.model or job.model
        return generation

    def _on_beat(self, job: Job) -> None:
        """See, with every extension of the lease, whether anybody still waits for this."""
        self._start(self._stop_if_cancelled(job), f"cancelled? {job.task.id}")
        self._start(self._generating.stop_if_ended(job), f"ended? {job.task.id}")

    async def _stop_if_cancelled(self, job: Job) -> None:
        if not job.settling and await self._parts.preparation.is_cancelled(job):
            self._generating.stop_cancelled(job)


def _size(generation: Generation) -> int:
    bodies: Iterable[bytes | StreamedBody] = (output.body for output in generation.outputs)
    return sum(len(body.head) if isinstance(body, StreamedBody) else len(body) for body in bodies)
