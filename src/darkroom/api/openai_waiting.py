"""How a door waits for a task's end: bounded in time and in number, and no longer than its client does."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec

from darkroom.api.ports import Records
from darkroom.api.waiting import FIRST_DELAY_SECONDS, GROWTH, LONGEST_DELAY_SECONDS
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.tasks.record import TaskRecord

Pause = Callable[[float], Awaitable[bool]]
"""Waits for so many seconds; returns False, earlier perhaps, when the client has gone and nobody waits any more."""


class Pace(msgspec.Struct, frozen=True):
    """How soon to look at a task for the first time, and how seldom at most, in seconds."""

    first: float = FIRST_DELAY_SECONDS
    longest: float = LONGEST_DELAY_SECONDS


class EventLoop(msgspec.Struct, frozen=True):
    """What a door with an event loop does in its way; one without, at AWS Lambda, does one thing after the other.

    `pause` is how a stream waits, whose sender hears by itself that its client has gone; `beside` runs a function aside
    from the loop and returns what it returns; `making_replies` lets few be made at once.
    """

    pause: Pause
    beside: Callable[[Callable[[], Any]], Awaitable[Any]]
    making_replies: AbstractAsyncContextManager[Any]


async def no_pause(_seconds: float) -> bool:
    """There is nobody to wait for."""
    return False


async def at_once(work: Callable[[], Any]) -> Any:
    """Run a function."""
    return work()


NO_EVENT_LOOP = EventLoop(no_pause, at_once, nullcontext())


class Place(msgspec.Struct):
    """The place of one request that waits; given back once, however often that is asked for."""

    caller: str
    places: Places
    is_taken: bool = True

    def give_back(self) -> None:
        """Let another request wait."""
        if self.is_taken:
            self.is_taken = False
            self.places.taken[self.caller] -= 1


class Places:
    """How many requests may wait at once; one caller's at most half of them, so that there is room for others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken: Counter[str] = Counter()

    def take(self, caller: str) -> Place | None:
        """A place for a request of `caller`, or None where there is none."""
        if self.taken.total() >= self._most or self.taken[caller] >= max(1, self._most // 2):
            return None
        self.taken[caller] += 1
        return Place(caller, self)


async def looks(
    record: TaskRecord, records: Records, until: float, monotonic: Callable[[], float], pause: Pause, pace: Pace
) -> AsyncIterator[TaskRecord]:
    """Look at a submission again and again, until it has ended, or it is `until` by `monotonic`, or nobody waits.

    While the table does not answer, it is asked again.
    """
    seconds = pace.first
    while not record.status.is_terminal:
        left = until - monotonic()
        if left <= 0 or not await pause(min(seconds, left)):
            return
        try:
            record = await records.get_submission(record.submission_id) or record
        except AwsFailure as failure:
            if not failure.retryable:
                raise
            log(logging.WARNING, "openai.look_failed", str(failure), error_type=failure.type)
        yield record
        seconds = min(seconds * GROWTH, pace.longest)
