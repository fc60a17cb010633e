"""Takes messages from the sender's queue and has each of them sent by a coroutine of its own."""

from __future__ import annotations

import asyncio
import logging
import math

from darkroom.aws.queue import BATCH, Queue, ReceivedMessage
from darkroom.errors import AwsFailure, LeaseLost
from darkroom.logs import log
from darkroom.policy.outcomes import outage_seconds
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.outcomes import Done, Later
from darkroom.webhooks.sender import Sender

# More than any few callers may have at once (`darkroom.webhooks.receivers`).
MOST_AT_ONCE = 256
_WAIT_SECONDS = 20
# SQS hides a message for twelve hours at most, counted from its receive.
_LONGEST_DELAY_SECONDS = 11 * 3600


class Worker:
    """Works until it is stopped; sends `most_at_once` webhooks at the same time at most."""

    def __init__(self, queue: Queue, sender: Sender, clock: Clock, *, most_at_once: int = MOST_AT_ONCE) -> None:
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._slots = asyncio.Semaphore(most_at_once)
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Receive for ever; whoever cancels this calls `stop` then."""
        failures = 0
        while True:
            await self._slots.acquire()
            self._slots.release()
            try:
                messages = await self._queue.receive(maximum=BATCH, wait_seconds=_WAIT_SECONDS)
                failures = 0
            except AwsFailure as error:
                failures += 1
                log(logging.WARNING, "webhook.queue_failed", str(error), attempt=failures)
                await asyncio.sleep(outage_seconds(failures, self._clock.chance()))
                continue
            for message in messages:
                await self._slots.acquire()
                task = asyncio.create_task(self._work(message))
                self._working.add(task)
                task.add_done_callback(self._ended)

    async def stop(self, grace_seconds: float) -> None:
        """Let what is being sent come to its end, for so long; the rest is sent again by whoever comes next."""
        if self._working:
            await asyncio.wait(self._working, timeout=grace_seconds)
        left = [*self._working]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._slots.release()

    async def _work(self, message: ReceivedMessage) -> None:
        try:
            await settle(self._queue, message, await self._sender.handle(message))
        except AwsFailure as error:
            # The message is visible again after its queue's timeout; the delivery's item says what was done.
            log(logging.WARNING, "webhook.aws_failed", str(error), message_id=message.message_id)


async def settle(queue: Queue, message: ReceivedMessage, outcome: Done | Later) -> None:
    """Delete a message, or have it come again later. Raises an `AwsFailure`."""
    try:
        match outcome:
            case Done():
                await queue.delete(message.receipt_handle)
            case Later(seconds=seconds):
                await hide(queue, message, seconds)
    except LeaseLost as error:  # somebody else has it
        log(logging.WARNING, "webhook.lease_lost", str(error), message_id=message.message_id)


async def hide(queue: Queue, message: ReceivedMessage, seconds: float) -> None:
    """Have a message come again after so many seconds. Raises an `AwsFailure`."""
    await queue.change_visibility(message.receipt_handle, min(math.ceil(seconds), _LONGEST_DELAY_SECONDS))
