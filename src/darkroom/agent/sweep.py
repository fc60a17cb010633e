"""Dead letters that SQS made by itself: their ends are told here, and they get the reason that others have.

The agent keeps a message's last receive for telling. If it dies even then, SQS moves the message in silence at the next
receive. So every agent looks through the dead letters now and then. What it does with one is what it would have done
with the message: write down how the task ended, unless it has ended otherwise, notify, set the message aside with the
reason, and only then delete the old letter. So a crash loses no letter, and agents that do it at once tell the same.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import msgspec

from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies, Standing
from darkroom.agent.intake import Intake, Unreadable
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.settlement import Settlement
from darkroom.agent.spans import Spans
from darkroom.aws.queue import BATCH, Queue, ReceivedMessage
from darkroom.errors import AwsDenied, AwsFailure, AwsRefused, GenerationFailed
from darkroom.logs import log, logger
from darkroom.policy.dead_letters import is_labelled
from darkroom.policy.sweeping import LONGEST_PAUSE_SECONDS, MOST_LETTERS, Looked, after_look, hidden_seconds, is_due
from darkroom.tasks.message import copy_number
from darkroom.tasks.task import Priority

# Of a letter's handle, SQS makes some 500 bytes.
_MOST_GIVEN_BACK = 10_000
# Each may bring a payload of megabytes along.
_TOLD_AT_ONCE = 3
_WAIT_SECONDS = 1  # a short poll may miss letters: it asks a part of SQS's servers only


class Sweep:
    """Looks after the dead letters of one runtime's queue, whose messages may be received `maximum_receives` times.

    Every letter is seen, however many there are. One that is being told of is held for `visibility_seconds` at a time.
    """

    def __init__(
        self,
        dead_letters: Queue,
        intake: Intake,
        settlement: Settlement,
        *,
        queue: Queue,
        low_queue: Queue | None = None,
        copies: Copies,
        maximum_receives: int | None,
        visibility_seconds: float,
        pause_seconds: float,
        clock: Clock,
        spans: Spans,
    ) -> None:
        self._dead_letters = dead_letters
        self._intake = intake
        self._settlement = settlement
        self._queue = queue
        self._low_queue = low_queue
        self._copies = copies
        self._maximum_receives = maximum_receives
        self._visibility_seconds = visibility_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._spans = spans
        self._telling = asyncio.Semaphore(_TOLD_AT_ONCE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep at once and then about every `pause_seconds`, until told to stop; seldom while it is not allowed."""
        last = Looked()
        refused = 0
        while not stopping.is_set():
            try:
                last = await self._look(last, stopping)
                refused = 0
            except (AwsDenied, AwsRefused) as error:
                refused += 1
                if refused == 1:
                    text = f"{error}; what SQS moves to the dead letters is not told"
                    log(logging.WARNING, "agent.sweep_refused", text)
            except AwsFailure as error:
                log(logging.WARNING, "agent.sweep_failed", str(error))
            pause = min(max(self._pause_seconds, LONGEST_PAUSE_SECONDS), self._pause_seconds * 2 ** min(refused, 16))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * (0.5 + self._clock.chance())):
                    await stopping.wait()

    async def _look(self, last: Looked, stopping: asyncio.Event) -> Looked:
        attributes = await self._dead_letters.read_attributes()
        count = attributes.visible + attributes.in_flight
        if not is_due(last, count, self._clock.monotonic()):
            return last
        told = await self._sweep(hidden_seconds(count), stopping)
        return after_look(last, count, told, self._clock.monotonic(), self._pause_seconds)

    async def _sweep(self, hidden: float, stopping: asyncio.Event) -> int:
        """Look through the letters once, hiding each for `hidden` seconds, and return how many were told of."""
        told = seen = 0
        left: list[str] = []
        ends = self._clock.monotonic() + hidden  # from then on, those that were seen first come back
        try:
            while seen < MOST_LETTERS and self._clock.monotonic() < ends and not stopping.is_set():
                messages = await self._dead_letters.receive(
                    maximum=BATCH, wait_seconds=_WAIT_SECONDS, visibility_seconds=round(hidden)
                )
                if not messages:
                    break
                seen += len(messages)
                done = await asyncio.gather(*(self._look_at(message) for message in messages))
                told += sum(done)
                # What stays is given back at the end, so that the next batch is another one. Of a great many, some
                # are left to come back by themselves: their handles would take too much memory.
                if len(left) < _MOST_GIVEN_BACK:
                    left.extend(
                        message.receipt_handle for message, gone in zip(messages, done, strict=True) if not gone
                    )
        finally:
            await self._give_back(left)
        return told

    async def _look_at(self, message: ReceivedMessage) -> bool:
        """Tell how the letter's task ended, unless that was told; return whether it was told now."""
        if is_labelled(message.attributes):
            return False
        async with self._telling:
            return await self._tell(message)

    async def _tell(self, message: ReceivedMessage) -> bool:
        received = self._maximum_receives or message.received
        now = self._clock.monotonic()
        moved = msgspec.structs.replace(message, received=received)
        lease = Lease(self._dead_letters, moved, self._visibility_seconds, self._clock, now)
        lease.keep(on_lost=lambda _: None)  # whoever has it then tells the same
        try:
            with self._spans.task(moved) as span:
                found = await self._intake.read(lease)
                if isinstance(found, Unreadable):
                    await self._settlement.bury_unreadable(lease, found)
                else:
                    found.span = span
                    await self._end(found, max(1, received - 1))
        except AwsFailure as error:
            log(logging.ERROR, "message.left", str(error), message_id=message.message_id)
            return False
        except Exception:
            logger.exception("a fault in Darkroom; the letter %s is left", message.message_id)
            return False
        finally:
            lease.drop()
        return True

    async def _end(self, job: Job, tries: int) -> None:
        """Tell that the job has failed, unless a newer copy of its message has tries left, or may have."""
        match await self._copies.standing(job.delivery.submission_id, copy_number(job.lease.message.attributes)):
            case Standing.NEWEST:
                await self._settlement.dead_letter(job, GenerationFailed(f"none of {tries} tries came to an end"))
            case Standing.UNCERTAIN:
                is_low = job.task.priority is Priority.LOW
                into = self._low_queue if is_low and self._low_queue is not None else self._queue
                await job.lease.start_over(0, self._copies, into=into)
            case Standing.SUPERSEDED:
                await self._settlement.drop(job)

    async def _give_back(self, receipt_handles: list[str]) -> None:
        for start in range(0, len(receipt_handles), BATCH):
            with suppress(AwsFailure):
                await self._dead_letters.show(receipt_handles[start : start + BATCH])
