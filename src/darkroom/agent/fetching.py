"""When to ask the queue for messages, and for how many.

Just in time: a message that would wait here is left to agents that are idle. There is one exception. Where a runtime
switches models, a window of messages is held, so that those for the loaded model can go first. While more wait in the
queue, this takes nothing from anybody. Once the queue is found empty, what is held beyond the usual is put back, once:
whoever is idle takes it, and what comes back here stays.

Where tasks of low priority have a queue of their own, `darkroom.policy.queue_turns` says which of the two is asked.

A message that gets ready counts as held, for it will soon need the device. One that takes much longer than they do (its
link drips, its payload or an upload hangs) counts no more: the device works for others meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.health import Health
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.pace import Pace
from darkroom.aws.queue import LONGEST_WAIT_SECONDS, Queue, ReceivedMessage
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.outcomes import away_seconds
from darkroom.policy.queue_turns import Poll, Turns
from darkroom.settings import LOW_PRIORITY_BOUND_SECONDS

_DEPTH_SECONDS = 2.0
_MOST_AT_ONCE = 10  # SQS
# How often to look again at what nobody announces: a task that is overdue may yet tell how far it is.
_LOOK_SECONDS = 1.0
# An empty answer that comes sooner than this was no long poll: the next one is not asked for at once.
_SHORTEST_POLL_SECONDS = 0.25
# So many messages that are slow to get ready are passed by; the next one is waited for, whatever it is.
_MOST_PASSED_BY = 8


class Fetched(NamedTuple):
    """A message, and the queue that it came from, where it is extended, given back and deleted."""

    queue: Queue
    message: ReceivedMessage


class Fetching:
    """Fetches for one agent, past messages that take long to get ready: what hinders them hinders only them.

    `give_back` is called with jobs that turned out to be here too early; `model_window` is how many messages may be
    held to choose from where the runtime switches models (1: none beyond the usual). What is received is hidden for
    `visibility_seconds`, whatever the queue's own time is: the agent may not have been told it, or it was changed.
    Tasks in `low_queue` wait for those in `queue`, but not for longer than `low_bound_seconds`.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        device: Device,
        pace: Pace,
        budget: MemoryBudget,
        health: Health,
        clock: Clock,
        stopping: asyncio.Event,
        give_back: Callable[[Sequence[Job]], Awaitable[None]],
        visibility_seconds: float,
        wait_seconds: int = LONGEST_WAIT_SECONDS,
        model_window: int = 1,
        low_queue: Queue | None = None,
        low_bound_seconds: float = LOW_PRIORITY_BOUND_SECONDS,
    ) -> None:
        self._queue = queue
        self._device = device
        self._pace = pace
        self._budget = budget
        self._health = health
        self._clock = clock
        self._stopping = stopping
        self._give_back = give_back
        self._visibility_seconds = visibility_seconds
        self._wait_seconds = wait_seconds
        self._model_window = model_window
        self._low_queue = low_queue
        self._turns = Turns.begin(low_bound_seconds, clock.now())
        self._low_failed = False
        self._asked_at, self._asked_on = clock.monotonic(), clock.now()
        self._depth = 0
        self._depth_known_until = 0.0
        self._arriving: dict[Lease, float] = {}  # and when they were received

    def arrives(self, lease: Lease) -> None:
        """Count a message as one that gets ready."""
        self._arriving[lease] = self._clock.monotonic()

    def has_arrived(self, lease: Lease) -> None:
        """Count it no longer: it is ready, or has come to an end."""
        self._arriving.pop(lease, None)

    async def next_messages(self) -> list[Fetched]:
        """Wait until something should be fetched, and fetch it; return none when circumstances changed meanwhile.

        Messages may also be returned after the agent was told to stop: they were on their way.
        """
        self._device.changed.clear()
        self._budget.freed.clear()
        if not self._budget.has_room:
            await self._first_of(self._budget.freed)
            return []
        await self._look_how_deep()
        await self._return_what_is_too_early()
        held = self._device.held + len(self._arriving) - self._passed_by
        missing = self._wanted - held
        if missing > 0 and (self._may_choose or (held == 0 and self._device.is_idle)):
            return await self._receive(missing)
        elapsed = self._device.elapsed_seconds
        if missing > 0 and (pause := self._pace.seconds_until_fetch(elapsed)) is not None:
            if pause == 0:
                return await self._receive(missing)
        else:
            pause = self._seconds_until_next_look(elapsed)
        late_in = self._seconds_until_one_is_late
        await self._first_of(self._device.changed, timeout=_sooner(pause, late_in))
        return []

    @property
    def _passed_by(self) -> int:
        """How many messages are so late in getting ready that others are fetched meanwhile."""
        late_since = self._clock.monotonic() - self._pace.patience_seconds
        return min(_MOST_PASSED_BY, sum(since <= late_since for since in self._arriving.values()))

    @property
    def _seconds_until_one_is_late(self) -> float | None:
        """None where nothing gets ready but what is late already."""
        now, patience = self._clock.monotonic(), self._pace.patience_seconds
        return min((left for since in self._arriving.values() if (left := since + patience - now) > 0), default=None)

    def _seconds_until_next_look(self, elapsed: float) -> float | None:
        """How long nothing needs to be decided anew, unless something changes; None: for as long as that takes."""
        if self._device.is_idle:
            return None
        until_overdue = self._pace.seconds_until_overdue(elapsed)
        return _LOOK_SECONDS if until_overdue is None or until_overdue <= 0 else until_overdue

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the agent's being told to stop."""
        await self._first_of(asyncio.Event(), timeout=seconds)

    @property
    def _may_choose(self) -> bool:
        """Whether a window of the queue may be held: nobody is idle while messages wait in it."""
        return self._model_window > 1 and self._depth > 0

    @property
    def _wanted(self) -> int:
        """How many messages should be held beside the one that runs."""
        usual = self._pace.wanted_waiting
        return max(usual, self._model_window) if self._may_choose else usual

    async def _look_how_deep(self) -> None:
        """Ask, every now and then, how many messages wait; only who may choose among them needs to know."""
        now = self._clock.monotonic()
        if self._model_window <= 1 or now < self._depth_known_until:
            return
        self._depth_known_until = now + _DEPTH_SECONDS
        try:
            self._depth = (await self._queue.read_attributes()).visible
        except AwsFailure as error:
            log(logging.WARNING, "queue.depth_unknown", str(error))
            self._depth = 0

    async def _return_what_is_too_early(self) -> None:
        waiting = self._device.waiting
        # A message that is given back has used up a receive, so one that has few left stays.
        if self._model_window > 1 and self._depth == 0:
            surplus = [
                job for job in waiting[self._pace.wanted_waiting :] if job.tries.received == 1 and not job.tries.is_last
            ]
            if surplus:
                self._depth_known_until = 0.0  # look at once who takes them
        elif self._pace.is_overdue(self._device.elapsed_seconds) and not self._may_choose:
            surplus = [job for job in waiting if not job.tries.is_last]
        else:
            return
        if surplus:
            await self._give_back(surplus)

    async def _receive(self, missing: int) -> list[Fetched]:
        """Ask for messages. A poll is never cut off, and none begins once the agent was told to stop.

        SQS may have put a message into the reply that nobody would see until its visibility timeout ends.
        """
        if self._stopping.is_set():  # while it was asked how deep the queue is, or what is too early was given back
            return []
        low = self._low_queue
        if low is None:
            poll = Poll(low=False, maximum=missing, wait_seconds=self._wait_seconds)
            return await self._ask(self._queue, poll)
        # Beyond the usual, what is held is to choose from by model; that is for tasks that all come first.
        usual = self._pace.wanted_waiting - self._device.held - len(self._arriving)
        now = self._clock.now()
        poll = self._turns.next(
            now, missing=missing, missing_low=min(missing, max(1, usual)), wait_seconds=self._wait_seconds
        )
        fetched = await self._ask(low if poll.low else self._queue, poll)
        newest = max((message.sent_at for _, message in fetched), default=None)
        self._turns = self._turns.after(poll, now, newest, self._clock.now())
        return fetched

    async def _ask(self, queue: Queue, poll: Poll) -> list[Fetched]:
        began = self._clock.monotonic()
        if not (poll.low and self._turns.normal_is_empty):  # else this belongs to the asking that just found nothing
            self._asked_at, self._asked_on = began, self._clock.now()
        try:
            messages = await queue.receive(
                maximum=min(poll.maximum, _MOST_AT_ONCE),
                wait_seconds=poll.wait_seconds,
                visibility_seconds=round(self._visibility_seconds),
            )
        except AwsFailure as error:
            if poll.low:
                self._low_fails(error)
            else:
                await self._fails(error)
            return []
        if poll.low:
            self._low_failed = False
        else:
            self._succeeds()
        if not messages and not poll.low and (left := began + _SHORTEST_POLL_SECONDS - self._clock.monotonic()) > 0:
            await self.pause(left)
        if messages and messages[0].sent_at < self._asked_on:  # otherwise the answer waited for the message
            self._pace.observe_asking(self._clock.monotonic() - self._asked_at)
        return [Fetched(queue, message) for message in messages]

    async def _fails(self, error: AwsFailure) -> None:
        self._health.aws_failed(str(error))
        if self._health.aws_failures == 1:  # once: the queue may be away for hours
            log(logging.ERROR, "queue.receive_failed", f"{error}; it is tried again until it succeeds")
        await self.pause(away_seconds(self._health.aws_failures, self._clock.chance()))

    def _low_fails(self, error: AwsFailure) -> None:
        """Say so once. The other queue's tasks go on, and where AWS is away as a whole, that one tells."""
        if not self._low_failed:
            log(logging.ERROR, "queue.low_receive_failed", f"{error}; tasks of low priority wait until it succeeds")
        self._low_failed = True

    def _succeeds(self) -> None:
        if self._health.aws_failures:
            log(logging.INFO, "queue.receives_again", "the queue answers", failures=self._health.aws_failures)
        self._health.aws_is_fine()

    async def _first_of(self, event: asyncio.Event, timeout: float | None = None) -> None:
        """Wait until `event`, the end, or `timeout` seconds have come."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
