"""What becomes of a message when work on it did not end with pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies, Standing
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease, at_once
from darkroom.agent.metrics import Metrics, NoMetrics
from darkroom.agent.outages import Outages
from darkroom.agent.preparation import NotToBeRun
from darkroom.agent.settlement import Settlement
from darkroom.agent.task_records import TaskRecords
from darkroom.aws.queue import ReceivedMessage
from darkroom.errors import AwsUnavailable, DarkroomError, GenerationInterrupted, LeaseLost, RuntimeKilled
from darkroom.logs import log
from darkroom.policy.expiry import pause_before
from darkroom.policy.outcomes import (
    DeadLetter,
    FailForGood,
    GiveBack,
    StartOver,
    Tries,
    decide_on_failure,
    outage_seconds,
)
from darkroom.policy.telling import after_tries
from darkroom.tasks.message import copy_number
from darkroom.tasks.notification import Notification
from darkroom.tasks.task import Status

# A message that must not be received again as it is stays here while AWS is away; but where it is away for this agent
# alone, nobody else can do the task meanwhile.
_LONGEST_HOLD_SECONDS = 3600.0


class ShuttingDown(DarkroomError):
    """The agent was told to stop; its work goes back to the queue."""

    retryable = True


class TooEarly(DarkroomError):
    """The task waits here for a device that will not be free soon; another agent may begin it sooner."""

    retryable = True


class AwsAway(DarkroomError):
    """The end of the task could not be stored or told now; another agent may begin it, or this one later."""

    retryable = True


class CancelledByUser(DarkroomError):
    """A user asked for the task to be stopped."""


class TooLate(DarkroomError):
    """The task got its turn when it was not to be begun any more."""

    def __init__(self, reason: NotToBeRun) -> None:
        super().__init__(reason.reason)
        self.reason = reason


class EndedElsewhere(DarkroomError):
    """Another agent has ended the same submission in the meantime, and this is what it notified, or should have."""

    def __init__(self, notification: Notification) -> None:
        super().__init__(f"the submission has ended elsewhere: {notification.status.value}")
        self.notification = notification


class Aftermath:
    """Ends work that was stopped, or that failed.

    `tries` says how often a message was tried, and may be; `stopping`, that the agent was told to stop.
    """

    def __init__(
        self,
        settlement: Settlement,
        records: TaskRecords,
        copies: Copies,
        outages: Outages,
        clock: Clock,
        stopping: asyncio.Event,
        tries: Callable[[ReceivedMessage], Tries],
        metrics: Metrics | None = None,
    ) -> None:
        self._settlement = settlement
        self._records = records
        self._copies = copies
        self._outages = outages
        self._clock = clock
        self._stopping = stopping
        self._tries = tries
        self._metrics = metrics or NoMetrics()

    async def after_stop(self, job: Job, reason: DarkroomError) -> None:
        """End a job whose work was stopped from outside, for `reason`. Raises `AwsFailure`."""
        if isinstance(reason, LeaseLost):
            self._metrics.given_back(reason.type)
            log(logging.WARNING, "task.lease_lost", str(reason), **job.log_fields)
        elif isinstance(reason, CancelledByUser):
            job.settling = True
            await self._settlement.skip(job, NotToBeRun(Status.CANCELLED, str(reason)))
        elif isinstance(reason, EndedElsewhere):
            job.settling = True
            await self._settlement.repeat(job, reason.notification)
        else:
            log(logging.INFO, "task.given_back", str(reason), **job.log_fields)
            job.span.note(outcome="given_back")
            if job.began_at is not None:  # else it is queued, as its record says
                await self._records.waits(job, str(reason))
            self._metrics.given_back(reason.type)
            if isinstance(reason, AwsAway):
                await self.hand_back_for_later(job.lease)
            else:
                await self.hand_back(job.lease)

    async def after_failure(self, job: Job, error: DarkroomError) -> None:
        """End a job whose work failed with `error`, or let another try begin. Raises `AwsFailure`."""
        if isinstance(error, GenerationInterrupted) and self._stopping.is_set():
            await self._records.waits(job, str(error))
            self._metrics.given_back(error.type)
            await self.hand_back(job.lease)
            return
        if isinstance(error, TooLate):
            job.settling = True
            await self._settlement.skip(job, error.reason)
            return
        job.span.fail(error.type)
        if isinstance(error, LeaseLost):
            self._metrics.given_back(error.type)
            log(logging.WARNING, "task.lease_lost", str(error), **job.log_fields)
            return
        outcome = decide_on_failure(error, job.tries, self._clock.chance())
        job.settling = True
        match outcome:
            case GiveBack(delay_seconds=delay, reason=reason):
                delay = pause_before(job.task.deadline, delay, self._clock.now())
                log(logging.WARNING, "task.given_back", reason, error=error.type, delay_seconds=delay, **job.log_fields)
                await self._records.waits(job, after_tries(job.tries.received, reason), delay)
                self._metrics.given_back(error.type)
                await job.lease.give_back(delay)
            case StartOver(delay_seconds=delay, reason=reason):
                delay = pause_before(job.task.deadline, delay, self._clock.now())
                log(logging.WARNING, "task.given_back", reason, error=error.type, delay_seconds=delay, **job.log_fields)
                await self._records.waits(job, reason, delay)
                self._metrics.given_back(error.type)
                await self.hand_back(job.lease, delay)
            case FailForGood():
                await self._settlement.fail(job, error)
            case DeadLetter() if isinstance(error, RuntimeKilled):  # counted by submission, not by message
                await self._settlement.dead_letter(job, error)
            case DeadLetter():
                await self.after_last_try(job, error)

    async def after_last_try(self, job: Job, error: DarkroomError) -> None:
        """End a job whose message has no tries left, unless a newer copy of the message may have. Raises `AwsFailure`.

        `error` is what is told then.
        """
        match await self._copies.standing(job.delivery.submission_id, copy_number(job.lease.message.attributes)):
            case Standing.NEWEST:
                await self._settlement.dead_letter(job, error)
            case Standing.UNCERTAIN:
                reason = "a copy of its message may wait"
                log(logging.WARNING, "task.given_back", reason, **job.log_fields)
                await self._records.waits(job, reason)
                await job.lease.start_over(0, self._copies)
            case Standing.SUPERSEDED:
                await self._settlement.drop(job)

    async def is_superseded(self, job: Job) -> bool:
        """See whether a newer copy of the job's message sees to its end; if so, drop this one. Raises `AwsFailure`."""
        number = copy_number(job.lease.message.attributes)
        if number:
            await self._outages.once(lambda: self._copies.came(job.delivery.submission_id, number))
        elif job.tries.received == 1:
            return False  # nobody has made a copy of what nobody has received
        if await self._copies.standing(job.delivery.submission_id, number) is not Standing.SUPERSEDED:
            return False
        await self._settlement.drop(job)
        return True

    async def hand_back(self, lease: Lease, delay_seconds: int = 0) -> None:
        """Give back a message for a reason that is not its task's: only its first receive may be used up by that.

        Where the next receive would be its last, nor may AWS's being away use up this one: the message is held then,
        until it can begin anew or the agent is to stop.
        """
        if lease.is_acknowledged:
            return
        tries = self._tries(lease.message)
        if tries.is_last:
            attempt = at_once if self._stopping.is_set() else self._patiently
            await lease.start_over(delay_seconds, self._copies, attempt=attempt)
        elif tries.received > 1:
            await lease.start_over(delay_seconds, self._copies)
        else:
            await lease.give_back(delay_seconds)

    async def _patiently(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        """Do something at AWS, however long AWS is away, but not beyond the agent's end. Raises an `AwsFailure`."""
        working = asyncio.ensure_future(self._outages.persistently(operation))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((working, stopped), timeout=_LONGEST_HOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise AwsUnavailable("the message could not be held until AWS was back")
        finally:
            working.cancel()
            stopped.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)

    async def hand_back_for_later(self, lease: Lease) -> None:
        """Give back a message that cannot be done while AWS is away: whoever takes it next may find it so as well."""
        await self.hand_back(lease, outage_seconds(lease.message.received, self._clock.chance()))
