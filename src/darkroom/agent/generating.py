"""A job's turn on the device: from the moment when it may be sent to the runtime until the runtime has answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from darkroom.agent.aftermath import CancelledByUser, EndedElsewhere, TooLate
from darkroom.agent.device import Device
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.job import Job, uncancel
from darkroom.agent.pace import Pace
from darkroom.agent.parts import AgentParts
from darkroom.errors import AwsFailure, RuntimeFailure, RuntimeKilled, RuntimeUnavailable, RuntimeUnreachable
from darkroom.logs import log
from darkroom.policy.diagnosis import is_suspicious
from darkroom.policy.incidents import Incident, harmed_its_runtime, tell_story
from darkroom.runtimes.protocol import Prepared, Progress
from darkroom.tasks.message import copy_number
from darkroom.tasks.task import Priority

# How long the answer that a submission has not ended is good for.
_FRESH_SECONDS = 1.0
# How long the runtime may take to hear that it should stop.
INTERRUPT_SECONDS = 5.0


class Generating:
    """Has the runtime do jobs, each in its turn. `stopping` says that the agent was told to stop.

    `head_sent_at` is when the task that was begun last had been sent, in seconds since 1970, of those that were never
    tried before: others have been at the head of their queue long ago. Tasks of low priority are not counted: they say
    nothing of how far the queue of the others is.
    """

    def __init__(
        self, parts: AgentParts, device: Device, diagnosis: Diagnosis, pace: Pace, stopping: asyncio.Event
    ) -> None:
        self._parts = parts
        self._device = device
        self._diagnosis = diagnosis
        self._pace = pace
        self._stopping = stopping
        self._model: str | None = None
        self.head_sent_at: float | None = None

    async def run(self, job: Job, prepared: Prepared) -> object:
        """Wait for the job's turn, and return what the runtime answers.

        Raises what the runtime's adapter raises; `RuntimeSick` where nothing is sent to it; `TooLate` where the turn
        comes too late.
        """
        announcing: asyncio.Task[None] | None = None
        looking: asyncio.Task[None] | None = None
        self._diagnosis.refuse_if_sick()
        try:
            async with self._device.turn(job):
                self._diagnosis.refuse_if_sick()
                if (too_late := self._parts.preparation.judge_waiting(job)) is not None:
                    raise TooLate(too_late)
                # It may have waited for long. The device does not wait for the answer: it is hardly ever a yes.
                if self._parts.clock.monotonic() - job.looked_at > _FRESH_SECONDS:
                    looking = asyncio.create_task(self.stop_if_ended(job))
                log(logging.INFO, "task.running", f"task {job.task.id} runs", **job.log_fields)
                job.began_at = self._parts.clock.now()
                job.model = prepared.model or self._parts.runtime.loaded_model
                self._parts.metrics.began(self._parts.clock.now() - job.submitted_at)
                is_new = job.tries.received == 1 and not copy_number(job.delivery.attributes)
                if is_new and job.task.priority is Priority.NORMAL:
                    self.head_sent_at = job.submitted_at
                self._parts.progress.begin(job, on_cancelled=lambda: self.stop_cancelled(job))
                announcing = asyncio.create_task(self._announce(job))
                with self._parts.spans.part("generate", **_facts(job, prepared)):
                    return await self._run(job, prepared)
        finally:
            self._parts.progress.end(job)
            if looking is not None:
                looking.cancel()
            if announcing is not None:
                await announcing  # "running" must be told and recorded before the end is, whatever the end

    async def _announce(self, job: Job) -> None:
        """Tell that a job has the device, and stop it if nobody wants it any more, which is found out by telling."""
        advanced = await self._parts.settlement.announce_running(job, on_topic=self._parts.notify_when_running)
        if advanced is None:
            await self.stop_if_ended(job)
        elif advanced.is_to_be_stopped:
            self.stop_cancelled(job)

    def stop_cancelled(self, job: Job) -> None:
        """Stop the work on a job that a user has cancelled."""
        if not job.settling:
            job.stop(CancelledByUser("cancelled while it ran"))

    async def stop_if_ended(self, job: Job) -> None:
        """Stop the work on a job whose submission has ended elsewhere in the meantime."""
        with contextlib.suppress(AwsFailure):  # its end is looked for again before anything is stored
            found = await self._parts.preparation.find_end(job)
            if found is not None and not job.settling:
                job.stop(EndedElsewhere(found.notification))

    async def _run(self, job: Job, prepared: Prepared) -> object:
        """Have the runtime do the job, which has its turn."""
        self._model = self._model or self._parts.runtime.loaded_model
        try:
            result = await self._parts.runtime.run(prepared, lambda progress: self._on_progress(job, progress))
        except RuntimeUnavailable as error:
            self._parts.health.runtime_went_away(str(error))
            innocent = isinstance(error, RuntimeUnreachable)  # it was gone before it was sent this task
            if self._device.is_running(job) and not innocent and not self._stopping.is_set():
                await self._note_death(job, prepared, error)
            raise
        except RuntimeFailure as error:
            if is_suspicious(error):
                self._diagnosis.suspect(job)  # before the turn ends, so that nobody follows
            raise
        except asyncio.CancelledError:
            await self._interrupt(job, prepared)
            raise
        finally:
            self._pace.run_ended()
        job.was_run = True
        if self._device.is_running(job):
            self._pace.observe_run(self._device.elapsed_seconds)
            self._parts.metrics.generated(job.task.kind.value, self._device.elapsed_seconds)
        if prepared.model is not None and prepared.model != self._model:
            self._model = prepared.model
            self._parts.metrics.switched_model()
        return result

    async def _note_death(self, job: Job, prepared: Prepared, error: RuntimeUnavailable) -> None:
        """Remember that the runtime went away under this task.

        Raises `RuntimeKilled` when that is no chance any more.
        """
        with contextlib.suppress(RuntimeFailure):
            if await self._parts.runtime.lived_on(prepared):
                return  # the connection was cut
        incidents = self._parts.incidents
        death = Incident(self._parts.clock.now(), str(error), where=incidents.where)
        try:
            known = await incidents.note(job, death)
        except AwsFailure as failure:
            log(logging.WARNING, "task.incident_not_noted", str(failure), **job.log_fields)
            return
        log(logging.WARNING, "runtime.died", str(error), incidents=len(known), **job.log_fields)
        if harmed_its_runtime(known):
            raise RuntimeKilled(tell_story(known)) from error

    def _on_progress(self, job: Job, progress: Progress) -> None:
        if self._device.is_running(job):
            self._pace.progress_reported(self._device.elapsed_seconds, progress.remaining_seconds)
            self._parts.progress.report(job, progress)

    async def _interrupt(self, job: Job, prepared: Prepared) -> None:
        """Stop the runtime, so that it does not go on for nobody. The task that waits here was cancelled already."""
        uncancel()
        try:
            async with asyncio.timeout(INTERRUPT_SECONDS):
                await self._parts.runtime.interrupt(prepared)
        except (RuntimeFailure, TimeoutError) as error:
            log(logging.WARNING, "runtime.interrupt_failed", str(error), **job.log_fields)


def _facts(job: Job, prepared: Prepared) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"task_id": job.task.id, "kind": job.task.kind.value}
    return facts if prepared.model is None else {**facts, "model": prepared.model}
