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
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.health import Health
from darkroom.agent.intake import Intake, Unreadable
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.pace import Pace
from darkroom.agent.preparation import AlreadyDone, NotToBeRun, Preparation
from darkroom.agent.settlement import Settlement
from darkroom.aws.queue import LONGEST_WAIT_SECONDS, Queue, ReceivedMessage
from darkroom.errors import (
    AwsFailure,
    DarkroomError,
    GenerationFailed,
    GenerationInterrupted,
    LeaseLost,
    RuntimeFailure,
    RuntimeUnavailable,
    UnreadableMessage,
)
from darkroom.logs import log, logger
from darkroom.policy.outcomes import DeadLetter, FailForGood, GiveBack, backoff_seconds, decide_on_failure
from darkroom.runtimes.protocol import Generation, Prepared, Runtime, StreamedBody
from darkroom.tasks.task import Status

# How long the runtime may take to hear that it should stop.
_INTERRUPT_SECONDS = 5.0
_READINESS_PAUSE_SECONDS = 0.5


class ShuttingDown(DarkroomError):
    """The agent was told to stop; its work goes back to the queue."""

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
    health: Health
    budget: MemoryBudget
    clock: Clock = field(default_factory=Clock)
    notify_when_running: bool = False
    receive_wait_seconds: int = LONGEST_WAIT_SECONDS


class Agent:
    """One agent beside one runtime. `run` works until `stop` is called."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._device = Device(parts.clock)
        self._pace = Pace()
        self._stopping = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()
        self._jobs: set[Job] = set()
        self._arriving: set[Lease] = set()

    async def run(self) -> None:
        """Wait for the runtime, then work until told to stop, and return when nothing is held any more."""
        while not self._stopping.is_set():
            if not await self._wait_until_ready():
                break
            if not await self._wait_for_room():
                continue
            for message in await self._receive():
                self._start(message)
        while self._handlers:
            await asyncio.wait(self._handlers)

    async def stop(self, grace_seconds: float) -> None:
        """Stop receiving; give back what waits; finish what runs if it ends within `grace_seconds`, else give it back.

        Returns when nothing is held any more.
        """
        log(logging.INFO, "agent.stopping", "told to stop", held=len(self._jobs))
        self._stopping.set()
        self._device.changed.set()
        running = self._device.running
        for job in list(self._jobs):
            if job is not running and not job.settling:
                job.stop(ShuttingDown("the agent was told to stop"))
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=max(0.0, grace_seconds - 2 * _INTERRUPT_SECONDS))
        for job in list(self._jobs):
            job.stop(ShuttingDown(f"the agent was told to stop, and the task did not end within {grace_seconds:g} s"))
        if self._handlers:
            _, late = await asyncio.wait(self._handlers, timeout=2 * _INTERRUPT_SECONDS)
            for handler in late:
                handler.cancel()

    # --- when to fetch ----------------------------------------------------------------------------------------------

    async def _wait_until_ready(self) -> bool:
        """Return True when the runtime can take tasks, False when the agent is to stop first."""
        if self._parts.health.runtime_ready:
            return True
        log(logging.INFO, "runtime.waiting", "waiting for the runtime to be ready")
        while not self._stopping.is_set():
            try:
                await self._parts.runtime.check_ready()
            except RuntimeFailure as error:
                self._parts.health.runtime_reason = str(error)
                await self._pause(_READINESS_PAUSE_SECONDS)
            else:
                self._parts.health.runtime_is_ready()
                log(logging.INFO, "runtime.ready", "the runtime is ready")
                return True
        return False

    async def _wait_for_room(self) -> bool:
        """Return True when a message should be fetched now, False when anything has changed meanwhile."""
        self._device.changed.clear()
        self._parts.budget.freed.clear()
        waiting = len(self._device.waiting) + len(self._arriving)
        if not self._parts.budget.has_room:
            await self._first_of(self._parts.budget.freed)
            return False
        if waiting == 0 and self._device.running is None:
            return True
        if waiting >= self._pace.wanted_waiting:
            await self._first_of(self._device.changed)
            return False
        pause = self._pace.seconds_until_fetch(self._device.elapsed_seconds)
        if pause == 0:
            return True
        await self._first_of(self._device.changed, timeout=pause)
        return False

    async def _first_of(self, event: asyncio.Event, timeout: float | None = None) -> None:
        """Wait until `event`, the end, or `timeout` seconds have come."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _pause(self, seconds: float) -> None:
        await self._first_of(asyncio.Event(), timeout=seconds)

    async def _receive(self) -> list[ReceivedMessage]:
        """Wait for a message; return none when there is none, when AWS cannot say, or when the agent is to stop.

        A poll that is under way is not cut off: SQS may have put a message into the reply that nobody would see until
        its visibility timeout ends. What still comes after the agent was told to stop is given back at once.
        """
        try:
            messages = await self._parts.queue.receive(wait_seconds=self._parts.receive_wait_seconds)
        except AwsFailure as error:
            self._parts.health.aws_failed(str(error))
            pause = backoff_seconds(self._parts.health.aws_failures, self._clock.chance())
            log(logging.ERROR, "queue.receive_failed", str(error), pause_seconds=pause)
            await self._pause(pause)
            return []
        self._parts.health.aws_is_fine()
        if not self._stopping.is_set():
            return messages
        for message in messages:
            await self._lease(message).give_back(0)
        return []

    # --- one message ------------------------------------------------------------------------------------------------

    def _start(self, message: ReceivedMessage) -> None:
        received_at = self._clock.monotonic()
        lease = self._lease(message)
        self._arriving.add(lease)
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
        """Walk one message from its receipt to its end."""
        try:
            job = await self._read(lease)
            if job is None:
                return
            if self._stopping.is_set():
                await lease.give_back(0)
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
            # Not even the end could be told. The message comes back when its visibility runs out.
            log(logging.ERROR, "message.left", str(error), message_id=lease.message.message_id)
        finally:
            self._has_arrived(lease)
            lease.drop()

    def _has_arrived(self, lease: Lease) -> None:
        """Count the message no longer as one that gets ready: it waits for the device, or has come to an end."""
        self._arriving.discard(lease)
        self._device.changed.set()

    async def _read(self, lease: Lease) -> Job | None:
        """Read the message; settle one that cannot be read or was tried too often."""
        tries = self._parts.intake.tries(lease.message)
        try:
            found = await self._parts.intake.read(lease)
        except AwsFailure as error:
            if tries.is_last:
                unreadable = Unreadable(UnreadableMessage(str(error)), lease.message.message_id)
                await self._parts.settlement.bury_unreadable(lease, unreadable)
            else:
                log(logging.WARNING, "message.given_back", str(error), message_id=lease.message.message_id)
                await lease.give_back(backoff_seconds(tries.received, self._clock.chance()))
            return None
        if isinstance(found, Unreadable):
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
        self._pace.observe_lead(self._clock.monotonic() - received_at)
        with parts.budget.holding(ready.size_bytes):
            result = await self._run_on_device(job, ready)
        generation = await parts.runtime.collect(result)
        del result
        with parts.budget.holding(_size(generation)):
            job.settling = True
            await parts.settlement.complete(job, generation)

    async def _run_on_device(self, job: Job, prepared: Prepared) -> object:
        self._has_arrived(job.lease)
        async with self._device.turn(job):
            log(logging.INFO, "task.running", f"task {job.task.id} runs", **job.log_fields)
            announcing = asyncio.create_task(
                self._parts.settlement.announce_running(job, on_topic=self._parts.notify_when_running)
            )
            started_at = self._clock.monotonic()
            try:
                result = await self._parts.runtime.run(prepared, lambda _: None)
            except RuntimeUnavailable as error:
                self._parts.health.runtime_went_away(str(error))
                raise
            except asyncio.CancelledError:
                await self._interrupt(job, prepared)
                raise
            self._pace.observe_run(self._clock.monotonic() - started_at)
        # "running" must be told before the end is.
        await announcing
        return result

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

    # --- when it did not go well ------------------------------------------------------------------------------------

    async def _after_stop(self, job: Job, reason: DarkroomError) -> None:
        if isinstance(reason, LeaseLost):
            log(logging.WARNING, "task.lease_lost", str(reason), **job.log_fields)
        elif isinstance(reason, CancelledByUser):
            job.settling = True
            await self._parts.settlement.skip(job, NotToBeRun(Status.CANCELLED, str(reason)))
        else:
            log(logging.INFO, "task.given_back", str(reason), **job.log_fields)
            await job.lease.give_back(0)

    async def _after_failure(self, job: Job, error: DarkroomError) -> None:
        if isinstance(error, GenerationInterrupted) and self._stopping.is_set():
            await job.lease.give_back(0)
            return
        if isinstance(error, LeaseLost):
            log(logging.WARNING, "task.lease_lost", str(error), **job.log_fields)
            return
        outcome = decide_on_failure(error, job.tries, self._clock.chance())
        job.settling = True
        match outcome:
            case GiveBack(delay_seconds=delay, reason=reason):
                log(logging.WARNING, "task.given_back", reason, error=error.type, delay_seconds=delay, **job.log_fields)
                await job.lease.give_back(delay)
            case FailForGood():
                await self._parts.settlement.fail(job, error)
            case DeadLetter():
                await self._parts.settlement.dead_letter(job, error)


def _uncancel() -> None:
    """Take back a cancellation that was meant for the work on a job, not for the coroutine that now cleans up."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _size(generation: Generation) -> int:
    bodies: Iterable[bytes | StreamedBody] = (output.body for output in generation.outputs)
    return sum(len(body.head) if isinstance(body, StreamedBody) else len(body) for body in bodies)
