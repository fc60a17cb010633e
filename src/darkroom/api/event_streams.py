"""What happens to tasks, as server-sent events: for a gateway over a table that has the index `changes`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from darkroom.api import exchange
from darkroom.api.event_feed import OVERLAP_SECONDS, Feeds, Follower, Look, position_of, task_event
from darkroom.api.event_plans import EventsRequest
from darkroom.api.exchange import HttpReply
from darkroom.api.looking_up import progress_of
from darkroom.api.ports import Records
from darkroom.api.task_paths import no_such_task
from darkroom.aws.records import time_key
from darkroom.tasks.record import TaskRecord

MOST_STREAMS = 100
KEEP_ALIVE_SECONDS = 15.0
_KEEP_ALIVE = b": nothing new\n\n"
_CATCH_UP_AT_ONCE = 100


class EventStream(msgspec.Struct, frozen=True):
    """A stream that has been opened: what to send, block by block; close the iterator when the client has gone."""

    blocks: AsyncIterator[bytes]


class EventStreams:
    """Opens streams, up to `MOST_STREAMS` for each caller. Opening one may raise an `AwsFailure`."""

    def __init__(self, feeds: Feeds, records: Records) -> None:
        self._feeds = feeds
        self._records = records
        self._open: Counter[str] = Counter()

    async def open(self, plan: EventsRequest) -> EventStream | HttpReply:
        """Open a stream, or say why there is none."""
        if self._open[plan.caller] >= MOST_STREAMS:
            return exchange.too_many_streams(MOST_STREAMS)
        if plan.task_id is None:
            return EventStream(self._all(plan))
        record = await self._find(plan)
        if record is None:
            return no_such_task(plan.task_id)
        if record.status.is_terminal and plan.last_event_id == position_of(record):
            return HttpReply(status=204, body=None)  # by which a browser knows not to come again
        return EventStream(self._one(plan, record))

    async def _find(self, plan: EventsRequest) -> TaskRecord | None:
        for caller in plan.sight.callers:
            if (record := await self._records.get(plan.task_id or "", caller)) is not None:
                return record
        return None

    async def _one(self, plan: EventsRequest, record: TaskRecord) -> AsyncIterator[bytes]:
        """How a task is, and what happens to it until its end."""
        follower = Follower()
        self._open[plan.caller] += 1
        leave = self._feeds.follow([record.caller], follower, for_operator=plan.sight.is_operator)
        try:
            progress = await progress_of([record], self._feeds.source.progress)
            so_far = progress.get(record.submission_id)
            snapshot = task_event(record, so_far, for_operator=plan.sight.is_operator)
            yield snapshot.block
            told = {snapshot.position}
            # What has happened between reading the record and following is told by nobody else.
            again = await self._feeds.source.records.get_submissions([record.submission_id])
            latest = again.get(record.submission_id, record)
            if latest.updated_at > record.updated_at:
                snapshot = task_event(latest, None, for_operator=plan.sight.is_operator)
                yield snapshot.block
                told.add(snapshot.position)
            if snapshot.ends:
                return
            async for look in _looks(follower):
                events = [] if look is None else look.events
                mine = [e for e in events if e.submission_id == record.submission_id and e.position not in told]
                if look is None or mine:
                    yield _KEEP_ALIVE if look is None else b"".join(event.block for event in mine)
                if any(event.ends for event in mine):
                    return
        finally:
            self._left(plan.caller)
            leave()

    async def _all(self, plan: EventsRequest) -> AsyncIterator[bytes]:
        """What happened since the last event that was seen, and what happens from now on."""
        follower = Follower()
        self._open[plan.caller] += 1
        leave = self._feeds.follow(plan.sight.callers, follower, for_operator=plan.sight.is_operator)
        try:
            yield _KEEP_ALIVE
            if plan.last_event_id is not None:
                for caller in plan.sight.callers:
                    async for block in self._since(plan.last_event_id, caller, plan.sight.is_operator):
                        yield block
            async for look in _looks(follower):
                yield _KEEP_ALIVE if look is None else look.data
        finally:
            self._left(plan.caller)
            leave()

    async def _since(self, last: str, caller: str, for_operator: bool) -> AsyncIterator[bytes]:
        position = time_key(max(0.0, int(last[:13]) / 1000 - OVERLAP_SECONDS))
        source = self._feeds.source
        while True:
            changes = await source.changes.after(caller, position, _CATCH_UP_AT_ONCE)
            events = await source.events(changes, for_operator=for_operator)
            if events:
                yield b"".join(event.block for event in events)
            if len(changes) < _CATCH_UP_AT_ONCE:
                return
            position = changes[-1].position

    def _left(self, caller: str) -> None:
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]


async def _looks(follower: Follower) -> AsyncIterator[Look | None]:
    """What a follower is told; None where there was nothing for a while. Ends when there is nothing more."""
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                look = await follower.looks.get()
        except TimeoutError:
            yield None
            continue
        if look is None:
            return
        if look.events:
            yield look
