"""What happens to a caller's tasks, looked for once for all who follow it.

However many streams a caller has open, its changes are looked for by one watcher, about once a second, and each event
is written once: its bytes go to all streams. Of a task that has changed twice in between, the last state is told.

Where nothing has changed for a while, it looks less often; when the caller asks this gateway for something, more often
for some seconds, since most tasks take no longer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from darkroom.api.looking_up import progress_of
from darkroom.api.ports import ProgressReports
from darkroom.aws.records import sort_key, time_key
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.tasks.change import Change
from darkroom.tasks.progress import Progress
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import TaskView
from darkroom.tasks.task import Status

LOOK_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 0.2
_GROWTH = 1.5
_QUIET_LOOK_SECONDS = 2.0
_QUIET_AFTER_SECONDS = 10.0
# Writers' clocks differ, and an index is behind: what is up to so old may still appear.
OVERLAP_SECONDS = 5.0
_SHORT_OVERLAP_SECONDS = 1.0
_MANY = 1000
_MOST_AT_ONCE = 100
# A stream whose client takes nothing is ended when so many looks wait for it.
_MOST_LOOKS_BEHIND = 30


class Changes(Protocol):
    """The changes of callers' tasks."""

    async def after(self, caller: str, position: str, most: int) -> list[Change]:
        """The first `most` changes of a caller's tasks after a position."""
        ...


class Records(Protocol):
    """The records of submissions."""

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """Read those of these records that are there, by their submissions' ids."""
        ...


class Event(msgspec.Struct, frozen=True):
    """One event as it is sent; `ends` says that nothing more will happen to its task."""

    submission_id: str
    position: str
    block: bytes
    ends: bool = False


class Source(msgspec.Struct, frozen=True):
    """Where changes, and what they are about, are read."""

    changes: Changes
    records: Records
    progress: ProgressReports | None

    async def events(self, changes: Iterable[Change], *, for_operator: bool) -> list[Event]:
        """What there is to tell of these changes, in their order."""
        last = {(change.submission_id, change.is_progress): change for change in changes}
        ids = list(dict.fromkeys(submission_id for submission_id, _ in last))
        records = await self.records.get_submissions(ids) if ids else {}
        progress = await progress_of(records.values(), self.progress)
        told = []
        for change in sorted(last.values(), key=lambda change: change.position):
            record = records.get(change.submission_id)
            if record is None:
                continue
            so_far = progress.get(change.submission_id)
            if not change.is_progress:
                told.append(task_event(record, so_far, change.position, for_operator=for_operator))
            elif record.status is Status.RUNNING and so_far is not None:
                told.append(_progress_event(record, so_far, change.position, for_operator=for_operator))
        return told


class _ProgressTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    caller: str | msgspec.UnsetType = msgspec.UNSET
    status: Status
    progress: Progress


def task_event(
    record: TaskRecord, progress: Progress | None, position: str | None = None, *, for_operator: bool
) -> Event:
    """That a task is now so."""
    view = TaskView.of(record, progress=progress, for_operator=for_operator)
    at = position or position_of(record)
    return Event(record.submission_id, at, _block("task", at, view), record.status.is_terminal)


def position_of(record: TaskRecord) -> str:
    """Where a record stands among the changes."""
    return sort_key(record.updated_at or record.created_at, record.submission_id)


def _progress_event(record: TaskRecord, progress: Progress, position: str, *, for_operator: bool) -> Event:
    whose = record.caller if for_operator else msgspec.UNSET  # callers may have tasks of the same id
    told = _ProgressTold(id=record.id, caller=whose, status=record.status, progress=progress)
    return Event(record.submission_id, position, _block("progress", position, told))


def _block(name: str, position: str, body: object) -> bytes:
    # A submission's id from elsewhere may have a line break in it.
    at = position.encode().translate(None, b"\r\n\0")
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (at, name.encode(), msgspec.json.encode(body))


class Look(msgspec.Struct, frozen=True):
    """What one look has brought: the events, and all of them as they are sent."""

    events: list[Event]
    data: bytes


class Follower:
    """Somebody who follows feeds; `looks` has what happened, and None at the end."""

    def __init__(self) -> None:
        self.looks: asyncio.Queue[Look | None] = asyncio.Queue(_MOST_LOOKS_BEHIND + 1)

    def tell(self, look: Look) -> None:
        """Tell what happened; who does not listen is left behind, and may come again with its last event's id."""
        if self.looks.qsize() < _MOST_LOOKS_BEHIND:
            self.looks.put_nowait(look)
        else:
            self.end()

    def end(self) -> None:
        """Tell that there is nothing more."""
        if not self.looks.full():
            self.looks.put_nowait(None)


class Feed:
    """What happens to one caller's tasks. `clock` tells seconds since 1970 (UTC)."""

    def __init__(
        self,
        caller: str,
        source: Source,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        *,
        for_operator: bool,
    ) -> None:
        self._caller = caller
        self._source = source
        self._clock = clock
        self._sleep = sleep
        self._for_operator = for_operator
        self._followers: set[Follower] = set()
        self._watching: asyncio.Task[None] | None = None
        self._pause_seconds = LOOK_SECONDS
        self._woken = asyncio.Event()
        self._seen: dict[Change, None] = {}

    def follow(self, follower: Follower) -> None:
        """Tell a follower from now on."""
        self._followers.add(follower)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    def leave(self, follower: Follower) -> bool:
        """Tell a follower nothing more; True where nobody is left."""
        self._followers.discard(follower)
        if not self._followers and self._watching is not None:
            self._watching.cancel()
        return not self._followers

    def wake(self) -> None:
        """Look soon, unless that is so already: something is about to happen."""
        if self._pause_seconds >= LOOK_SECONDS:
            self._woken.set()

    def end(self) -> None:
        """Tell every follower that there is nothing more."""
        for follower in self._followers:
            follower.end()

    async def _watch(self) -> None:
        # What changed a little earlier is told too: a writer's clock may be behind, or its write on its way.
        looked_at = changed_at = self._clock()
        self._seen.clear()
        while True:
            now = self._clock()
            try:
                fresh = await self._look(looked_at)
                looked_at = now
                for start in range(0, len(fresh), _MOST_AT_ONCE):
                    events = await self._source.events(
                        fresh[start : start + _MOST_AT_ONCE], for_operator=self._for_operator
                    )
                    look = Look(events, b"".join(event.block for event in events))
                    for follower in self._followers:
                        follower.tell(look)
            except AwsFailure as failure:
                log(logging.WARNING, "events.not_read", str(failure), caller=self._caller)
                fresh = []
            changed_at = now if fresh else changed_at
            quiet = now - changed_at > _QUIET_AFTER_SECONDS
            if await self._is_woken_within(_QUIET_LOOK_SECONDS if quiet else self._pause_seconds):
                changed_at, self._pause_seconds = self._clock(), _FIRST_LOOK_SECONDS
                await self._sleep(self._pause_seconds)
            self._pause_seconds = min(LOOK_SECONDS, self._pause_seconds * _GROWTH)

    async def _is_woken_within(self, seconds: float) -> bool:
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._woken.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        was_woken = self._woken.is_set()
        self._woken.clear()
        return was_woken

    async def _look(self, looked_at: float) -> list[Change]:
        """What is new since the last look."""
        overlap = OVERLAP_SECONDS if len(self._seen) < _MANY else _SHORT_OVERLAP_SECONDS
        begin = position = time_key(looked_at - overlap)
        fresh: list[Change] = []
        while True:
            changes = await self._source.changes.after(self._caller, position, _MOST_AT_ONCE)
            fresh += [change for change in changes if change not in self._seen]
            if len(changes) < _MOST_AT_ONCE:
                break
            position = changes[-1].position
        self._seen = {change: None for change in self._seen if change.position >= begin}
        self._seen |= dict.fromkeys(fresh)
        return fresh


class Feeds:
    """The feeds of all callers that somebody follows."""

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.source = source
        self._clock = clock
        self._sleep = sleep
        self._feeds: dict[tuple[str, bool], Feed] = {}

    def follow(self, callers: Iterable[str], follower: Follower, *, for_operator: bool) -> Callable[[], None]:
        """Have a follower told of these callers' tasks; call what is returned when it leaves."""
        keys = [(caller, for_operator) for caller in callers]
        for key in keys:
            feed = self._feeds.get(key)
            if feed is None:
                feed = Feed(key[0], self.source, self._clock, self._sleep, for_operator=for_operator)
                self._feeds[key] = feed
            feed.follow(follower)

        def leave() -> None:
            for key in keys:
                feed = self._feeds.get(key)
                if feed is not None and feed.leave(follower):
                    del self._feeds[key]

        return leave

    def wake(self, caller: str) -> None:
        """Look soon what happens to a caller's tasks, where somebody follows them."""
        for for_operator in (False, True):
            if (feed := self._feeds.get((caller, for_operator))) is not None:
                feed.wake()

    def close(self) -> None:
        """End every stream: the gateway ends."""
        for feed in list(self._feeds.values()):
            feed.end()
