"""Waiting for a task: prompt, cheap, and shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from darkroom.api.shared_waiting import SharedWaiter
from darkroom.api.waiting import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, AloneWaiter
from darkroom.aws.blocking import run
from darkroom.errors import AwsUnavailable
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status


def record(name: str = "s1", status: Status = Status.QUEUED, updated_at: float = 100.0) -> TaskRecord:
    return TaskRecord(id="t", submission_id=name, status=status, runtime="r", updated_at=updated_at)


class Table:
    """Records that change at times, by a clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changes: dict[str, list[tuple[float, TaskRecord]]] = {}
        self.asked: list[list[str]] = []
        self.was_asked = asyncio.Event()
        self.failure: AwsUnavailable | None = None

    def becomes(self, at: float, changed: TaskRecord) -> None:
        self.changes.setdefault(changed.submission_id, []).append((at, changed))

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        self.asked.append(list(submission_ids))
        self.was_asked.set()
        if self.failure is not None:
            raise self.failure
        known = {id_: [row for at, row in self.changes.get(id_, []) if at <= self.now] for id_ in submission_ids}
        return {id_: rows[-1] for id_, rows in known.items() if rows}

    async def sleep_alone(self, seconds: float) -> None:
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Let everybody else run first: then time has passed."""
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds


def test_a_change_is_told_within_a_second_and_until_then_the_table_is_asked_ever_more_seldom() -> None:
    table = Table()
    table.becomes(0.0, record())
    table.becomes(15.2, record(status=Status.RUNNING, updated_at=115.2))
    waiter = AloneWaiter(table, table.sleep_alone, lambda: table.now)
    changed = run(waiter.until_changed(record(), 20))
    assert changed.status is Status.RUNNING
    assert 15.2 <= table.now <= 15.2 + LONGEST_DELAY_SECONDS
    assert len(table.asked) <= 31


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 3.7, 6.1])
@pytest.mark.parametrize("is_shared", [False, True])
async def test_nobody_waits_much_longer_than_the_task_took(seconds: float, is_shared: bool) -> None:
    """A tenth, and what the first look takes; many who wait are asked for together, ten times a second."""
    table = Table()
    table.becomes(0.0, record())
    table.becomes(seconds, record(status=Status.COMPLETED, updated_at=100.0 + seconds))
    if is_shared:
        await shared(table).until_changed(record(), 20)
    else:
        run(AloneWaiter(table, table.sleep_alone, lambda: table.now).until_changed(record(), 20))
    ticks = 0.2 if is_shared else 0.0
    assert seconds <= table.now <= seconds * 1.1 + FIRST_DELAY_SECONDS + ticks + 1e-6


def test_what_does_not_change_is_told_when_the_time_is_over_as_it_is_then() -> None:
    table = Table()
    newest = msgspec.structs.replace(record(updated_at=103.0), attempts=2)
    table.becomes(3.0, newest)
    waiter = AloneWaiter(table, table.sleep_alone, lambda: table.now)
    assert run(waiter.until_changed(record(), 20)) == newest
    assert table.now == pytest.approx(20)


def test_a_quick_change_is_told_quickly() -> None:
    table = Table()
    table.becomes(0.0, record(status=Status.COMPLETED, updated_at=100.1))
    waiter = AloneWaiter(table, table.sleep_alone, lambda: table.now)
    assert run(waiter.until_changed(record(), 20)).status is Status.COMPLETED
    assert table.now == pytest.approx(FIRST_DELAY_SECONDS)


@pytest.mark.parametrize("found", [None, record(status=Status.QUEUED, updated_at=99.0)])
def test_what_the_table_said_before_is_no_change(found: TaskRecord | None) -> None:
    table = Table()
    if found is not None:
        table.becomes(0.0, found)
    waiter = AloneWaiter(table, table.sleep_alone, lambda: table.now)
    running = record(status=Status.RUNNING)
    assert run(waiter.until_changed(running, 5)) == running


def shared(table: Table) -> SharedWaiter:
    return SharedWaiter(table, lambda: table.now, table.sleep)


async def test_who_waits_for_the_same_task_shares_the_look() -> None:
    table = Table()
    table.becomes(3.0, record(status=Status.RUNNING, updated_at=103.0))
    waiter = shared(table)
    told = await asyncio.gather(*(waiter.until_changed(record(), 20) for _ in range(50)))
    assert {row.status for row in told} == {Status.RUNNING}
    assert len(table.asked) <= 20
    assert all(asked == ["s1"] for asked in table.asked)


async def test_many_tasks_are_asked_for_together() -> None:
    table = Table()
    for number in range(80):
        table.becomes(4.0, record(f"s{number}", Status.COMPLETED, 104.0))
    waiter = shared(table)
    told = await asyncio.gather(*(waiter.until_changed(record(f"s{number}"), 20) for number in range(80)))
    assert len(told) == 80
    assert len(table.asked) <= 20


async def test_who_comes_later_and_knows_more_tells_the_others() -> None:
    table = Table()
    table.sleep = blocked()  # type: ignore[method-assign]
    waiter = shared(table)
    first = asyncio.create_task(waiter.until_changed(record(), 20))
    await asyncio.sleep(0)
    second = asyncio.create_task(waiter.until_changed(record(status=Status.RUNNING, updated_at=101.0), 0.01))
    assert (await first).status is Status.RUNNING
    assert (await second).status is Status.RUNNING
    late = asyncio.create_task(waiter.until_changed(record(status=Status.COMPLETED, updated_at=102.0), 20))
    await asyncio.sleep(0)
    # Who has read less than is known by now is told at once.
    assert (await waiter.until_changed(record(status=Status.RUNNING, updated_at=101.0), 20)).status is Status.COMPLETED
    late.cancel()


async def test_when_nobody_waits_any_more_nobody_asks() -> None:
    table = Table()
    waiter = shared(table)
    waiting = asyncio.create_task(waiter.until_changed(record(), 20))
    async with asyncio.timeout(10):
        await table.was_asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(20):
        await asyncio.sleep(0)
    asked = len(table.asked)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(table.asked) == asked


async def test_a_table_that_is_away_ends_the_wait_and_not_the_next_one() -> None:
    table = Table()
    waiter = shared(table)
    table.failure = AwsUnavailable("reading: throttled")
    with pytest.raises(AwsUnavailable):
        await waiter.until_changed(record(), 20)
    table.failure = None
    table.becomes(0.0, record(status=Status.FAILED, updated_at=101.0))
    assert (await waiter.until_changed(record(), 20)).status is Status.FAILED


async def test_at_the_end_of_the_gateway_everybody_is_told_how_things_are() -> None:
    table = Table()
    table.sleep = blocked()  # type: ignore[method-assign]
    waiter = shared(table)
    waiting = asyncio.create_task(waiter.until_changed(record(), 20))
    await asyncio.sleep(0)
    waiter.close()
    assert (await waiting) == record()
    assert (await waiter.until_changed(record(), 20)) == record()


def blocked() -> Callable[[float], object]:
    """A sleep that does not end."""

    async def sleep(_seconds: float) -> None:
        await asyncio.Event().wait()

    return sleep
