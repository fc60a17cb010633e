"""A message that this agent holds: its visibility is extended for as long as work on it goes on.

A task of ten minutes under a visibility timeout of 30 seconds thus runs once. When the extension fails for good, the
message may already be in another agent's hands: the lease says so at once, and the agent stops working on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.errors import AwsFailure, AwsUnavailable, LeaseLost
from darkroom.logs import log
from darkroom.tasks.message import (
    COPY_ATTRIBUTE,
    FIRST_SENT_ATTRIBUTE,
    SUBMISSION_ATTRIBUTE,
    copied_attributes,
    copy_number,
    first_sent_at,
    fits_a_queue,
    open_envelope,
)

# Extended after a third of the time, so that two extensions may fail before the third one is too late.
_EXTENSIONS_PER_TIMEOUT = 3

# Does something at AWS, and may wait out passing faults of it.
Attempt = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def at_once(operation: Callable[[], Awaitable[Any]]) -> Any:
    """Do it, once."""
    return await operation()


class Lease:
    """One held message. Create it as soon as the message is received: its time already runs."""

    def __init__(
        self, queue: Queue, message: ReceivedMessage, visibility_seconds: float, clock: Clock, received_at: float
    ) -> None:
        self.message = message
        self._queue = queue
        self._visibility_seconds = visibility_seconds
        self._clock = clock
        self._expires_at = received_at + visibility_seconds
        self._keeper: asyncio.Task[None] | None = None
        self.ended = False
        self.is_acknowledged = False
        self._is_lost = False
        self._is_being_acknowledged = False

    def keep(self, on_lost: Callable[[LeaseLost], None], on_beat: Callable[[], None] = lambda: None) -> None:
        """Extend the lease until it ends; call `on_lost` once when that fails, and `on_beat` after every success.

        Called again, it takes the place of the call before.
        """
        if self._keeper is not None:
            self._keeper.cancel()
        self._keeper = asyncio.create_task(self._extend_for_ever(on_lost, on_beat), name="lease")

    async def _extend_for_ever(self, on_lost: Callable[[LeaseLost], None], on_beat: Callable[[], None]) -> None:
        pause = self._visibility_seconds / _EXTENSIONS_PER_TIMEOUT
        while True:
            await self._clock.sleep(pause)
            started_at = self._clock.monotonic()
            try:
                await self._queue.change_visibility(self.message.receipt_handle, round(self._visibility_seconds))
            except AwsUnavailable as error:
                log(logging.WARNING, "lease.extend_failed", str(error), message_id=self.message.message_id)
                if self._clock.monotonic() < self._expires_at:
                    pause = min(1.0, self._visibility_seconds / 10)
                    continue
                self._lose(LeaseLost(f"the message could not be held: {error}"), on_lost)
                return
            except AwsFailure as error:
                self._lose(error if isinstance(error, LeaseLost) else LeaseLost(str(error)), on_lost)
                return
            self._expires_at = started_at + self._visibility_seconds
            pause = self._visibility_seconds / _EXTENSIONS_PER_TIMEOUT
            on_beat()

    def _lose(self, error: LeaseLost, on_lost: Callable[[LeaseLost], None]) -> None:
        self.ended = self._is_lost = True
        if not self._is_being_acknowledged:  # otherwise its deletion may have been done, and only the answer be lost
            on_lost(error)

    async def acknowledge(self) -> None:
        """Delete the message: nobody needs to do it again. It is held until that has succeeded."""
        self._is_being_acknowledged = True
        await self._queue.delete(self.message.receipt_handle)
        self.is_acknowledged = True
        await self._stop_keeping()

    async def give_back(self, delay_seconds: int) -> None:
        """Let another try begin after `delay_seconds`. If AWS cannot be told, the message comes back by itself."""
        await self._stop_keeping()
        try:
            await self._queue.change_visibility(self.message.receipt_handle, delay_seconds)
        except AwsFailure as error:
            log(logging.WARNING, "lease.give_back_failed", str(error), message_id=self.message.message_id)

    async def start_over(
        self, delay_seconds: int, copies: Copies, *, into: Queue | None = None, attempt: Attempt = at_once
    ) -> None:
        """Let the same submission begin anew after `delay_seconds`, as if it had never been received.

        SQS counts receives for ever, and moves a message that has used them up in silence. So it gets a copy with a
        count of its own, first, and is deleted, second; `darkroom.agent.copies` says why neither may fail unnoticed.
        The copy stays in its trace, and its time in the queue goes on. It goes to the message's own queue, or `into`
        another. Where that cannot be done, the message is given back as it is.

        The message is held while `attempt` waits; when it is lost meanwhile, whoever has it then sees to its end.
        """
        if self._keeper is None:
            self.keep(on_lost=lambda _: None)
        message = self.message
        # A message without an id of its own goes by SNS's or SQS's, which the copy must bring along.
        _, attributes, fallback_id = open_envelope(message.body, message.attributes, message.message_id)
        submission_id = attributes.get(SUBMISSION_ATTRIBUTE) or fallback_id
        number = copy_number(message.attributes)
        own = {
            SUBMISSION_ATTRIBUTE: submission_id,
            FIRST_SENT_ATTRIBUTE: f"{first_sent_at(message.attributes, message.sent_at):.3f}",
            COPY_ATTRIBUTE: str(number + 1000),  # as long as it can become
        }
        if not fits_a_queue(message.body, own):
            # Noted, a copy that cannot be sent would be waited for.
            text = "the message is too large for what a copy of it must say; it keeps its receives"
            log(logging.WARNING, "lease.start_over_failed", text, message_id=message.message_id)
            await self.give_back(delay_seconds)
            return
        try:
            number = await attempt(lambda: copies.make(submission_id, number))
            own[COPY_ATTRIBUTE] = str(number)
            if self._is_lost:
                return
            await attempt(
                lambda: (into or self._queue).send(
                    message.body,
                    copied_attributes(own, message.attributes, message.body),
                    delay_seconds,
                    group=message.group,
                    trace_header=message.trace_header,
                )
            )
            await self._stop_keeping()
            await self._queue.delete(message.receipt_handle)
        except AwsFailure as error:
            log(logging.WARNING, "lease.start_over_failed", str(error), message_id=message.message_id)
            await self.give_back(delay_seconds)

    async def _stop_keeping(self) -> None:
        self.ended = True
        if self._keeper is not None and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def drop(self) -> None:
        """Stop extending without telling AWS: the message is no longer ours, or the process ends."""
        self.ended = True
        if self._keeper is not None and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
