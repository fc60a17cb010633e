"""Events: looked for once for all who follow, each once, and none lost where clocks differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from darkroom.api.event_feed import Feeds, Source
from darkroom.api.event_plans import EventsRequest
from darkroom.api.event_streams import MOST_STREAMS, EventStream, EventStreams
from darkroom.api.exchange import HttpReply
from darkroom.api.whose import Sight
from darkroom.aws.records import sort_key
from darkroom.errors import AwsUnavailable
from darkroom.tasks.change import Change
from darkroom.tasks.progress import Progress
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

NOW = 1_800_000_000.0


class Tasks:
    """Records, progress and changes in memory; time passes when the feeds sleep, and not before `go_on`."""

    def __init__(self) -> None:
        self.now = NOW
        self.records: dict[str, TaskRecord] = {}
        self.said: dict[str, Progress] = {}
        self.changes: dict[tuple[str, bool], tuple[str, Change]] = {}
        self.asked = 0
        self.pauses: list[float] = []
        self.failure: AwsUnavailable | None = None
        self.slept = asyncio.Event()
        self._wake = asyncio.Event()

    def change(self, name: str, status: Status, at: float, caller: str = "shop", **fields: object) -> TaskRecord:
        record = TaskRecord(
            id=name,
            submission_id=f"s-{name}",
            status=status,
            runtime="r",
            caller=caller,
            created_at=NOW,
            updated_at=at,
            **fields,  # type: ignore[arg-type]
        )
        self.records[record.submission_id] = record
        self._changed(record.submission_id, caller, at, is_progress=False)
        return record

    def progress(self, name: str, value: float, at: float, caller: str = "shop") -> None:
        self.said[f"s-{name}"] = Progress(value=value)
        self._changed(f"s-{name}", caller, at, is_progress=True)

    def _changed(self, submission_id: str, caller: str, at: float, *, is_progress: bool) -> None:
        change = Change(sort_key(at, submission_id), submission_id, is_progress)
        self.changes[submission_id, is_progress] = (caller, change)

    async def after(self, caller: str, position: str, most: int) -> list[Change]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        found = [change for whose, change in self.changes.values() if whose == caller and change.position > position]
        return sorted(found, key=lambda change: change.position)[:most]

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        return {id_: self.records[id_] for id_ in submission_ids if id_ in self.records}

    async def get(self, task_id: str, caller: str) -> TaskRecord | None:
        record = self.records.get(f"s-{task_id}")
        return record if record is not None and record.caller == caller else None

    async def read(self, submission_ids: Sequence[str]) -> dict[str, Progress]:
        return {id_: self.said[id_] for id_ in submission_ids if id_ in self.said}

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.slept.set()
        self._wake.clear()
        await self._wake.wait()
        self.now += seconds

    async def go_on(self) -> None:
        """Let the feeds look once more."""
        async with asyncio.timeout(10):
            await self.slept.wait()
            self.slept.clear()
            self._wake.set()
            await self.slept.wait()


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@pytest.fixture
def streams(tasks: Tasks) -> EventStreams:
    feeds = Feeds(Source(tasks, tasks, tasks), lambda: tasks.now, tasks.sleep)
    return EventStreams(feeds, tasks)  # type: ignore[arg-type]


async def opened(
    streams: EventStreams, task_id: str | None = None, caller: str = "shop", last: str | None = None
) -> AsyncIterator[bytes]:
    answer = await streams.open(EventsRequest(caller, Sight((caller,)), task_id, last))
    assert isinstance(answer, EventStream), answer
    return answer.blocks


async def told(blocks: AsyncIterator[bytes]) -> list[tuple[str, str]]:
    """The next events: their names, and their tasks' status or progress."""
    async with asyncio.timeout(10):
        block = (await anext(blocks)).decode()
    events = []
    for event in block.removesuffix("\n\n").split("\n\n"):
        if not event.startswith(":"):
            fields = dict(line.split(": ", 1) for line in event.split("\n"))
            body = json.loads(fields["data"])
            assert fields["id"][:13].isdigit()
            what = body["status"] if fields["event"] == "task" else str(body["progress"]["value"])
            events.append((body["id"], what))
    return events


async def test_a_task_is_told_as_it_is_then_how_it_goes_and_the_stream_ends_with_it(
    tasks: Tasks, streams: EventStreams
) -> None:
    tasks.change("t", Status.QUEUED, NOW - 60)
    tasks.change("other", Status.QUEUED, NOW - 60)
    blocks = await opened(streams, "t")
    assert await told(blocks) == [("t", "queued")]
    waiting = asyncio.create_task(told(blocks))
    await tasks.go_on()
    tasks.change("t", Status.RUNNING, NOW + 1)
    tasks.change("other", Status.RUNNING, NOW + 1)
    await tasks.go_on()
    assert await waiting == [("t", "running")]
    tasks.progress("t", 0.5, NOW + 2)
    await tasks.go_on()
    assert await told(blocks) == [("t", "0.5")]
    tasks.change("t", Status.COMPLETED, NOW + 3)
    await tasks.go_on()
    assert await told(blocks) == [("t", "completed")]
    with pytest.raises(StopAsyncIteration):
        await anext(blocks)


async def test_an_operator_is_told_whose_task_has_come_further(tasks: Tasks, streams: EventStreams) -> None:
    blocks = {}
    for who in ("boss", "lab"):
        answer = await streams.open(EventsRequest(who, Sight(("lab",), is_operator=who == "boss"), None, None))
        assert isinstance(answer, EventStream)
        blocks[who] = answer.blocks
        assert await told(blocks[who]) == []
    waiting = {who: asyncio.create_task(anext(stream)) for who, stream in blocks.items()}
    tasks.change("t", Status.RUNNING, NOW - 60, "lab")
    tasks.progress("t", 0.5, NOW + 1, "lab")
    await tasks.go_on()
    async with asyncio.timeout(10):
        assert b'"caller":"lab"' in await waiting["boss"]
        assert b"caller" not in await waiting["lab"]


async def test_a_task_that_has_ended_is_told_once_and_who_knows_it_is_told_to_stay_away(
    tasks: Tasks, streams: EventStreams
) -> None:
    record = tasks.change("t", Status.FAILED, NOW - 60)
    blocks = await opened(streams, "t")
    assert await told(blocks) == [("t", "failed")]
    with pytest.raises(StopAsyncIteration):
        await anext(blocks)
    again = await streams.open(
        EventsRequest("shop", Sight(("shop",)), "t", sort_key(record.updated_at, record.submission_id))
    )
    assert isinstance(again, HttpReply)
    assert again.status == 204


async def test_another_callers_tasks_are_nobody_elses_events(tasks: Tasks, streams: EventStreams) -> None:
    tasks.change("t", Status.QUEUED, NOW, "lab")
    answer = await streams.open(EventsRequest("shop", Sight(("shop",)), "t"))
    assert isinstance(answer, HttpReply)
    assert answer.status == 404
    blocks = await opened(streams)
    assert await told(blocks) == []
    waiting = asyncio.create_task(told(blocks))
    await tasks.go_on()
    tasks.change("t", Status.RUNNING, NOW + 1, "lab")
    tasks.change("mine", Status.QUEUED, NOW + 1)
    await tasks.go_on()
    assert await waiting == [("mine", "queued")]


async def test_who_comes_again_is_told_what_has_happened_since(tasks: Tasks, streams: EventStreams) -> None:
    for number in range(250):
        tasks.change(f"t{number:03}", Status.QUEUED, NOW - 300 + number)
    last = sort_key(NOW - 300 + 40, "s-t040")
    blocks = await opened(streams, last=last)
    assert await told(blocks) == []
    seen = [name for _ in range(3) for name, _ in await told(blocks)]
    # From five seconds before, since writers' clocks may differ.
    assert seen == [f"t{number:03}" for number in range(35, 250)]


async def test_a_change_that_appears_late_is_told_and_told_once(tasks: Tasks, streams: EventStreams) -> None:
    blocks = await opened(streams)
    await told(blocks)
    waiting = asyncio.create_task(told(blocks))
    await tasks.go_on()
    tasks.now += 10
    tasks.change("new", Status.QUEUED, NOW + 10)
    await tasks.go_on()
    assert await waiting == [("new", "queued")]
    tasks.change("late", Status.QUEUED, NOW + 7)  # its writer's clock is behind
    await tasks.go_on()
    assert await told(blocks) == [("late", "queued")]
    waiting = asyncio.create_task(told(blocks))
    await tasks.go_on()
    await tasks.go_on()
    assert not waiting.done()
    waiting.cancel()


async def test_what_was_written_with_a_time_before_the_stream_was_opened_is_told(
    tasks: Tasks, streams: EventStreams
) -> None:
    tasks.change("t", Status.QUEUED, NOW - 60)
    blocks = await opened(streams, "t")
    assert await told(blocks) == [("t", "queued")]
    waiting = asyncio.create_task(told(blocks))
    await tasks.slept.wait()
    tasks.change("t", Status.RUNNING, NOW - 0.5)  # taken from the clock before, and written now
    await tasks.go_on()
    assert await waiting == [("t", "running")]


async def test_what_the_stream_began_with_is_not_told_again(tasks: Tasks, streams: EventStreams) -> None:
    tasks.change("t", Status.QUEUED, NOW - 1)
    blocks = await opened(streams, "t")
    assert await told(blocks) == [("t", "queued")]
    waiting = asyncio.create_task(told(blocks))
    await tasks.slept.wait()
    await tasks.go_on()
    assert not waiting.done()
    tasks.change("t", Status.RUNNING, NOW + 1)
    await tasks.go_on()
    assert await waiting == [("t", "running")]


async def test_however_many_follow_one_looks(tasks: Tasks, streams: EventStreams) -> None:
    many = [await opened(streams) for _ in range(MOST_STREAMS)]
    await asyncio.gather(*(told(blocks) for blocks in many))
    await tasks.go_on()
    asked = tasks.asked
    tasks.change("t", Status.QUEUED, NOW + 1)
    await tasks.go_on()
    assert tasks.asked == asked + 1
    assert [await told(blocks) for blocks in many] == [[("t", "queued")]] * MOST_STREAMS
    refused = await streams.open(EventsRequest("shop", Sight(("shop",))))
    assert isinstance(refused, HttpReply)
    assert refused.status == 429
    assert isinstance(await streams.open(EventsRequest("lab", Sight(("lab",)))), EventStream)
    await many[0].aclose()  # type: ignore[attr-defined]
    assert isinstance(await streams.open(EventsRequest("shop", Sight(("shop",)))), EventStream)


async def test_who_asks_for_something_after_a_quiet_time_is_told_what_becomes_of_it_at_once(tasks: Tasks) -> None:
    feeds = Feeds(Source(tasks, tasks, tasks), lambda: tasks.now, tasks.sleep)
    feeds.wake("shop")  # nobody follows
    blocks = await opened(EventStreams(feeds, tasks))  # type: ignore[arg-type]
    await told(blocks)
    while tasks.pauses[-1:] != [2.0]:
        await tasks.go_on()
    feeds.wake("lab")
    await asyncio.sleep(0)
    tasks.slept.clear()
    feeds.wake("shop")
    async with asyncio.timeout(10):
        await tasks.slept.wait()
    assert tasks.pauses[-1] == 0.2
    tasks.change("t", Status.RUNNING, tasks.now)
    await tasks.go_on()
    assert await told(blocks) == [("t", "running")]
    feeds.wake("shop")  # it looks often enough by now
    for _ in range(5):
        await tasks.go_on()
    assert tasks.pauses[-6:] == pytest.approx([0.3, 0.45, 0.675, 1.0, 1.0, 1.0])


async def test_when_nobody_follows_nobody_looks(tasks: Tasks, streams: EventStreams) -> None:
    blocks = await opened(streams)
    await told(blocks)
    await tasks.go_on()
    await blocks.aclose()  # type: ignore[attr-defined]
    asked = tasks.asked
    tasks._wake.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert tasks.asked == asked


async def test_who_takes_nothing_is_left_behind_and_the_others_are_not(tasks: Tasks, streams: EventStreams) -> None:
    slow, quick = await opened(streams), await opened(streams)
    await told(slow)
    await told(quick)
    await tasks.go_on()
    for number in range(40):
        tasks.change("t", Status.QUEUED, NOW + 1 + number)
        await tasks.go_on()
        assert await told(quick) == [("t", "queued")]
    left = [block async for block in slow]
    assert len(left) == 30


async def test_an_outage_of_the_table_is_waited_out(tasks: Tasks, streams: EventStreams) -> None:
    blocks = await opened(streams)
    await told(blocks)
    await tasks.go_on()
    tasks.failure = AwsUnavailable("reading: throttled")
    tasks.change("t", Status.QUEUED, NOW + 1)
    await tasks.go_on()
    tasks.failure = None
    await tasks.go_on()
    assert await told(blocks) == [("t", "queued")]


async def test_a_burst_of_changes_is_told_wholly(tasks: Tasks, streams: EventStreams) -> None:
    blocks = await opened(streams)
    await told(blocks)
    await tasks.go_on()
    for number in range(750):
        tasks.change(f"t{number:03}", Status.QUEUED, NOW + 1 + number / 1000)
    await tasks.go_on()
    seen = [name for _ in range(8) for name, _ in await told(blocks)]
    assert seen == [f"t{number:03}" for number in range(750)]
