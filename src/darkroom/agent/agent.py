"""The queue agent's pipeline, composed.

    queue ──receive──► lease ──► intake ──► preparation ──► device ──► collect ──► settlement ──► acknowledged
                         │                                     │                       │
                         └── kept while any of this goes on    └── one at a time       └── stored, recorded, notified

Every message has a coroutine of its own, `_handle`, which walks this line from left to right. Only the device is
narrow: while one job occupies it, the next one is fetched and prepared, and the last one's pictures are stored. `run`
fetches messages, and decides when: a message that would only wait here is left to agents that are idle.

How work ends is a value (`darkroom.policy.outcomes`): acknowledge, give back, fail for good, or dead-letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.deaths import Deaths, tell_story
from darkroom.agent.device import Device
from darkroom.agent.fetching import Fetching
from darkroom.agent.health import Health
from darkroom.agent.intake import Intake, Unreadable
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.pace import Pace
from darkroom.agent.preparation import AlreadyDone, NotToBeRun, Preparation
from darkroom.agent.readiness import Readiness
from darkroom.agent.settlement import Settlement
from darkroom.agent.spans import NoSpans, Span, Spans
from darkroom.agent.sweep import Sweep
from darkroom.aws.queue import LONGEST_WAIT_SECONDS, Queue, ReceivedMessage
from darkroom.errors import (
    AwsFailure,
    AwsUnavailable,
    DarkroomError,
    GenerationFailed,
    GenerationInterrupted,
    LeaseLost,
    RuntimeFailure,
    RuntimeKilled,
    RuntimeUnavailable,
    RuntimeUnreachable,
)
from darkroom.logs import log, logger
from darkroom.policy.outcomes import (
    MOST_RUNTIME_DEATHS,
    DeadLetter,
    FailForGood,
    GiveBack,
    StartOver,
    decide_on_failure,
    outage_seconds,
)
from darkroom.policy.turn_order import MOST_OVERTAKES
from darkroom.runtimes.protocol import Generation, Prepared, Progress, Runtime, StreamedBody
from darkroom.tasks.task import Status

# How long the runtime may take to hear that it should stop.
_INTERRUPT_SECONDS = 5.0


class ShuttingDown(DarkroomError):
    """The agent was told to stop; its work goes back to the queue."""

    retryable = True


class TooEarly(DarkroomError):
    """The task waits here for a device that will not be free soon; another agent may begin it sooner."""

    retryable = True


class CancelledByUser(DarkroomError):
    """A user asked for the task to be stopped."""


@dataclass(frozen=True)
class AgentParts:
    """What an agent is composed of; `darkroom.agent.process` puts it together."""

    queue: Queue
    visibility_seconds: float
    intake: Intake
    preparation: Preparation
    runtime: Runtime
    settlement: Settlement
    deaths: Deaths
    health: Health
    budget: MemoryBudget
    clock: Clock = field(default_factory=Clock)
    spans: Spans = field(default_factory=NoSpans)
    sweep: Sweep | None = None
    notify_when_running: bool = False
    receive_wait_seconds: int = LONGEST_WAIT_SECONDS
    model_window: int = 1
    most_overtakes: int = MOST_OVERTAKES
    trial_seconds: float = 120.0


class Agent:
    """One agent beside one runtime. `run` works until `stop` is called."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._stopping = asyncio.Event()
        self._pace = Pace()
        self._device = Device(
            parts.clock,
            remaining_seconds=self._pace.remaining_seconds,
            loaded_model=lambda: parts.runtime.loaded_model,
            queues=parts.runtime.queues,
            most_overtakes=parts.most_overtakes,
        )
        self._fetching = Fetching(
            queue=parts.queue,
            device=self._device,
            pace=self._pace,
            budget=parts.budget,
            health=parts.health,
            clock=parts.clock,
            stopping=self._stopping,
            give_back=self._give_back_early,
            wait_seconds=parts.receive_wait_seconds,
            model_window=parts.model_window,
        )
        self._readiness = Readiness(
            parts.runtime, parts.health, parts.clock, self._stopping, self._fetching.pause, parts.trial_seconds
        )
        self._handlers: set[asyncio.Task[None]] = set()
        self._jobs: set[Job] = set()

    async def run(self) -> None:
        """Wait for the runtime, then work until told to stop, and return when nothing is held any more."""
        async with self._sweeping():
            while not self._stopping.is_set():
                if not await self._readiness.wait():
                    break
                for message in await self._fetching.next_messages():
                    if self._stopping.is_set():
                        await self._hand_back(self._lease(message))
                    else:
                        self._start(message)
            while self._handlers:
                await asyncio.wait(self._handlers)

    @contextlib.asynccontextmanager
    async def _sweeping(self) -> AsyncIterator[None]:
        """Look after the dead letters for the body of the `async with`."""
        if self._parts.sweep is None:
            yield
            return
        sweeping = asyncio.create_task(self._parts.sweep.run(self._stopping), name="sweep")
        try:
            yield
            await asyncio.wait((sweeping,), timeout=_INTERRUPT_SECONDS)  # so that no letter is left held
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def stop(self, grace_seconds: float) -> None:
        """Stop receiving; give back what waits; finish what runs if it ends within `grace_seconds`, else give it back.

        Returns when nothing is held any more.
        """
        log(logging.INFO, "agent.stopping", "told to stop", held=len(self._jobs))
        self._stopping.set()
        self._device.changed.set()
        for job in list(self._jobs):
            if not self._device.is_at_runtime(job) and not job.was_run and not job.settling:
                job.stop(ShuttingDown("the agent was told to stop"))
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=max(0.0, grace_seconds - 2 * _INTERRUPT_SECONDS))
        for job in list(self._jobs):
            job.stop(ShuttingDown(f"the agent was told to stop, and the task did not end within {grace_seconds:g} s"))
        if self._handlers:
            _, late = await asyncio.wait(self._handlers, timeout=2 * _INTERRUPT_SECONDS)
            for handler in late:
                handler.cancel()

    async def _give_back_early(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.stop(TooEarly("another agent may begin it sooner"))
        if ends := [job.activity for job in jobs if job.activity is not None]:
            await asyncio.wait(ends, timeout=_INTERRUPT_SECONDS)

    # --- one message ------------------------------------------------------------------------------------------------

    def _start(self, message: ReceivedMessage) -> None:
        received_at = self._clock.monotonic()
        lease = self._lease(message)
        self._fetching.arriving.add(lease)
        handler = asyncio.create_task(self._handle(lease, received_at), name=f"message {message.message_id}")
        self._handlers.add(handler)
        handler.add_done_callback(self._handler_ended)

    def _lease(self, message: ReceivedMessage) -> Lease:
        now = self._clock.monotonic()
        return Lease(self._parts.queue, message, self._parts.visibility_seconds, self._clock, now)

    def _handler_ended(self, handler: asyncio.Task[None]) -> None:
        self._handlers.discard(handler)
        if not handler.cancelled() and handler.exception() is not None:
            logger.error("a fault in Darkroom; the message comes back by itself", exc_info=handler.exception())

    async def _handle(self, lease: Lease, received_at: float) -> None:
        """Walk one message from its receipt to its end, within a span of its own."""
        with self._parts.spans.task(lease.message) as span:
            await self._walk(lease, received_at, span)

    async def _walk(self, lease: Lease, received_at: float, span: Span) -> None:
        try:
            job = await self._read(lease, span)
            if job is None:
                return
            job.span = span
            span.note(task_id=job.task.id, kind=job.task.kind.value, submission_id=job.delivery.submission_id)
            if self._stopping.is_set():
                await self._hand_back(lease)
                return
            job.activity = asyncio.current_task()
            self._jobs.add(job)
            lease.keep(on_lost=job.stop, on_beat=lambda: self._on_beat(job))
            try:
                await self._develop(job, received_at)
            except asyncio.CancelledError:
                if job.stop_reason is None:
                    raise
                _uncancel()
                await self._after_stop(job, job.stop_reason)
            except DarkroomError as error:
                await self._after_failure(job, error)
            except Exception as error:
                logger.exception("a fault in Darkroom or in the runtime's adapter")
                await self._after_failure(job, GenerationFailed(f"{type(error).__name__}: {error}"))
            finally:
                self._jobs.discard(job)
                self._parts.health.runtime_has_fault(self._parts.runtime.fault)
        except AwsFailure as error:
            # Not even the end could be told. The message comes back when its visibility runs out, if not before.
            span.fail(error.type)
            log(logging.ERROR, "message.left", str(error), message_id=lease.message.message_id)
            if isinstance(error, AwsUnavailable):
                await self._hand_back(lease, outage_seconds(lease.message.received, self._clock.chance()))
        finally:
            self._has_arrived(lease)
            lease.drop()

    def _has_arrived(self, lease: Lease) -> None:
        """Count the message no longer as one that gets ready: it waits for the device, or has come to an end."""
        self._fetching.arriving.discard(lease)
        self._device.changed.set()

    async def _read(self, lease: Lease, span: Span) -> Job | None:
        """Read the message; settle one that cannot be read or was tried too often."""
        tries = self._parts.intake.tries(lease.message)
        try:
            found = await self._parts.intake.read(lease)
        except AwsFailure as error:
            log(logging.WARNING, "message.given_back", str(error), message_id=lease.message.message_id)
            span.fail(error.type)
            await self._hand_back(lease, outage_seconds(tries.received, self._clock.chance()))
            return None
        if isinstance(found, Unreadable):
            span.fail(found.error.type)
            await self._parts.settlement.bury_unreadable(lease, found)
            return None
        return found

    async def _develop(self, job: Job, received_at: float) -> None:
        parts = self._parts
        if job.tries.are_used_up:
            job.settling = True
            tries = job.tries.received - 1
            await parts.settlement.dead_letter(job, GenerationFailed(f"none of {tries} tries came to an end"))
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
        job.prepared = ready
        self._pace.observe_preparing(self._clock.monotonic() - received_at)
        with parts.budget.holding(ready.size_bytes):
            result = await self._run_on_device(job, ready)
        with parts.spans.part("collect"):
            generation = await parts.runtime.collect(result)
        del result
        for warning in generation.warnings:
            log(logging.WARNING, "task.warning", warning, **job.log_fields)
        with parts.budget.holding(_size(generation)):
            job.settling = True
            await parts.settlement.complete(job, generation)

    async def _run_on_device(self, job: Job, prepared: Prepared) -> object:
        self._has_arrived(job.lease)
        announcing: asyncio.Task[None] | None = None
        try:
            async with self._device.turn(job):
                log(logging.INFO, "task.running", f"task {job.task.id} runs", **job.log_fields)
                announcing = asyncio.create_task(
                    self._parts.settlement.announce_running(job, on_topic=self._parts.notify_when_running)
                )
                with self._parts.spans.part("generate", **_facts(job, prepared)):
                    return await self._run(job, prepared)
        finally:
            if announcing is not None:
                await announcing  # "running" must be told and recorded before the end is, whatever the end

    async def _run(self, job: Job, prepared: Prepared) -> object:
        """Have the runtime do the job, which has its turn."""
        try:
            result = await self._parts.runtime.run(prepared, lambda progress: self._on_progress(job, progress))
        except RuntimeUnavailable as error:
            self._parts.health.runtime_went_away(str(error))
            innocent = isinstance(error, RuntimeUnreachable)  # it was gone before it was sent this task
            if self._device.is_running(job) and not innocent and not self._stopping.is_set():
                await self._note_death(job, error)
            raise
        except asyncio.CancelledError:
            await self._interrupt(job, prepared)
            raise
        finally:
            self._pace.run_ended()
        job.was_run = True
        if self._device.is_running(job):
            self._pace.observe_run(self._device.elapsed_seconds)
        return result

    async def _note_death(self, job: Job, error: RuntimeUnavailable) -> None:
        """Remember that the runtime went away under this task.

        Raises `RuntimeKilled` when that is no chance any more.
        """
        with contextlib.suppress(RuntimeFailure):
            await self._parts.runtime.check_ready()
            return  # the connection was cut; the runtime lives
        try:
            deaths = await self._parts.deaths.note(job, str(error))
        except AwsFailure as failure:
            log(logging.WARNING, "task.death_not_noted", str(failure), **job.log_fields)
            return
        log(logging.WARNING, "runtime.died", str(error), deaths=len(deaths), **job.log_fields)
        if len(deaths) >= MOST_RUNTIME_DEATHS:
            raise RuntimeKilled(tell_story(deaths)) from error

    def _on_progress(self, job: Job, progress: Progress) -> None:
        if self._device.is_running(job):
            self._pace.progress_reported(self._device.elapsed_seconds, progress.remaining_seconds)

    async def _interrupt(self, job: Job, prepared: Prepared) -> None:
        """Stop the runtime, so that it does not go on for nobody. The task that waits here was cancelled already."""
        _uncancel()
        try:
            async with asyncio.timeout(_INTERRUPT_SECONDS):
                await self._parts.runtime.interrupt(prepared)
        except (RuntimeFailure, TimeoutError) as error:
            log(logging.WARNING, "runtime.interrupt_failed", str(error), **job.log_fields)

    def _on_beat(self, job: Job) -> None:
        """See, with every extension of the lease, whether the user has cancelled the task."""
        check = asyncio.create_task(self._stop_if_cancelled(job))
        self._handlers.add(check)
        check.add_done_callback(self._handler_ended)

    async def _stop_if_cancelled(self, job: Job) -> None:
        if not job.settling and await self._parts.preparation.is_cancelled(job) and not job.settling:
            job.stop(CancelledByUser("cancelled while it ran"))

    async def _hand_back(self, lease: Lease, delay_seconds: int = 0) -> None:
        """Give back a message for a reason that is not its task's: only its first receive may be used up by that."""
        if lease.message.received > 1:
            await lease.start_over(delay_seconds)
        else:
            await lease.give_back(delay_seconds)

    # --- when it did not go well ------------------------------------------------------------------------------------

    async def _after_stop(self, job: Job, reason: DarkroomError) -> None:
        if isinstance(reason, LeaseLost):
            log(logging.WARNING, "task.lease_lost", str(reason), **job.log_fields)
        elif isinstance(reason, CancelledByUser):
            job.settling = True
            await self._parts.settlement.skip(job, NotToBeRun(Status.CANCELLED, str(reason)))
        else:
            log(logging.INFO, "task.given_back", str(reason), **job.log_fields)
            job.span.note(outcome="given_back")
            await self._hand_back(job.lease)

    async def _after_failure(self, job: Job, error: DarkroomError) -> None:
        if isinstance(error, GenerationInterrupted) and self._stopping.is_set():
            await self._hand_back(job.lease)
            return
        job.span.fail(error.type)
        if isinstance(error, LeaseLost):
            log(logging.WARNING, "task.lease_lost", str(error), **job.log_fields)
            return
        outcome = decide_on_failure(error, job.tries, self._clock.chance())
        job.settling = True
        match outcome:
            case GiveBack(delay_seconds=delay, reason=reason):
                log(logging.WARNING, "task.given_back", reason, error=error.type, delay_seconds=delay, **job.log_fields)
                await job.lease.give_back(delay)
            case StartOver(delay_seconds=delay, reason=reason):
                log(logging.WARNING, "task.given_back", reason, error=error.type, delay_seconds=delay, **job.log_fields)
                await self._hand_back(job.lease, delay)
            case FailForGood():
                await self._parts.settlement.fail(job, error)
            case DeadLetter():
                await self._parts.settlement.dead_letter(job, error)


def _uncancel() -> None:
    """Take back a cancellation that was meant for the work on a job, not for the coroutine that now cleans up."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _facts(job: Job, prepared: Prepared) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"task_id": job.task.id, "kind": job.task.kind.value}
    return facts if prepared.model is None else {**facts, "model": prepared.model}


def _size(generation: Generation) -> int:
    bodies: Iterable[bytes | StreamedBody] = (output.body for output in generation.outputs)
    return sum(len(body.head) if isinstance(body, StreamedBody) else len(body) for body in bodies)
