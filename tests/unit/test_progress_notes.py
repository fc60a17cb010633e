"""How often the table is asked about a task that runs, and how soon it is known that it was cancelled."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.progress import ProgressNotes
from darkroom.errors import AwsUnavailable
from darkroom.planner.picture_costs import PROGRESS_SECONDS
from darkroom.runtimes.protocol import Progress
from darkroom.tasks.progress import ProgressReport


class Table:
    """A table of progress that notes when it is asked, and what it is told. `fails`: the table is away."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.written: list[tuple[float, float]] = []
        self.looks: list[float] = []
        self.cancelled_at = float("inf")
        self.fails = False

    async def write(self, report: ProgressReport) -> bool:
        self._answer()
        self.written.append((self.seconds, report.progress.value))
        return self.seconds < self.cancelled_at

    async def is_to_be_stopped(self, submission_id: str) -> bool:
        self._answer()
        self.looks.append(self.seconds)
        return self.seconds >= self.cancelled_at

    def _answer(self) -> None:
        if self.fails:
            raise AwsUnavailable("away")


async def during(
    table: Table,
    *,
    seconds: float,
    reports_every: float | None,
    pause_seconds: float | None = 2.0,
    received: int = 1,
) -> float | None:
    """Let a task run for so long, in time that passes at once; return when it was known to be cancelled."""
    known: list[float] = []
    sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(pause: float) -> None:
        sleepers.append((table.seconds + pause, asyncio.get_running_loop().create_future()))
        await sleepers[-1][1]

    notes = ProgressNotes(cast(Any, table), Clock(monotonic=lambda: table.seconds, sleep=sleep), pause_seconds)
    job: Any = SimpleNamespace(
        tries=SimpleNamespace(received=received),
        delivery=SimpleNamespace(submission_id="s1"),
        task=SimpleNamespace(id="t1"),
        caller="",
        log_fields={},
    )
    job = _Hashed(job)
    notes.begin(job, on_cancelled=lambda: known.append(table.seconds))
    tenths = round(seconds * 10)
    for tenth in range(tenths):
        table.seconds = tenth / 10
        if reports_every is not None and tenth and tenth % round(reports_every * 10) == 0:
            notes.report(job, Progress(tenth / tenths))
        for due, sleeper in [*sleepers]:
            if due <= table.seconds + 1e-9:
                sleepers.remove((due, sleeper))
                sleeper.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)
    notes.end(job)
    await asyncio.sleep(0)
    assert len(known) <= 1
    return known[0] if known else None


class _Hashed:
    """A job is a key."""

    def __init__(self, facts: SimpleNamespace) -> None:
        self.__dict__.update(facts.__dict__)


@pytest.mark.parametrize("reports_every", [None, 0.1, 1.0, 1.3, 3.0])
async def test_a_task_costs_as_many_requests_as_the_estimate_has_writes_whatever_its_runtime_tells(
    reports_every: float | None,
) -> None:
    table = Table()
    assert await during(table, seconds=30, reports_every=reports_every) is None
    assert len(table.written) + len(table.looks) <= 30 // PROGRESS_SECONDS
    assert bool(table.written) == (reports_every is not None)


@pytest.mark.parametrize("reports_every", [None, 0.1, 1.0, 3.0])
async def test_a_task_shorter_than_the_pause_costs_nothing(reports_every: float | None) -> None:
    table = Table()
    await during(table, seconds=2, reports_every=reports_every)
    assert not table.written
    assert not table.looks


@pytest.mark.parametrize("pause_seconds", [None, 0.5, 2.0, 30.0])
@pytest.mark.parametrize("reports_every", [None, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("cancelled_at", [0.0, 5.1, 9.9])
async def test_that_a_task_was_cancelled_is_known_within_two_seconds_whatever_its_runtime_tells(
    cancelled_at: float, reports_every: float | None, pause_seconds: float | None
) -> None:
    table = Table()
    table.cancelled_at = cancelled_at
    known_at = await during(table, seconds=20, reports_every=reports_every, pause_seconds=pause_seconds)
    assert known_at is not None
    assert known_at - cancelled_at <= 2.0 + 1e-6
    assert all(at <= known_at for at in [*(at for at, _ in table.written), *table.looks])


async def test_the_newest_report_is_written_and_none_twice() -> None:
    table = Table()
    await during(table, seconds=10, reports_every=0.7)
    values = [value for _, value in table.written]
    assert values == sorted(set(values))
    for at, value in table.written:
        assert at - value * 10 <= 0.7 + 1e-6


async def test_where_progress_is_not_to_be_written_it_is_not() -> None:
    table = Table()
    await during(table, seconds=10, reports_every=1.0, pause_seconds=None, received=2)
    assert not table.written
    assert len(table.looks) == 4


async def test_another_try_says_at_once_that_the_earlier_ones_progress_is_true_no_more() -> None:
    table = Table()
    table.cancelled_at = 0.0
    assert await during(table, seconds=1, reports_every=None, received=2) == 0.0
    assert table.written == [(0.0, 0.0)]


async def test_a_table_that_comes_back_tells_of_what_was_cancelled_meanwhile() -> None:
    table = Table()
    table.fails, table.cancelled_at = True, 1.0

    async def back() -> None:
        while table.seconds < 5:  # noqa: ASYNC110 - the time is the test's own
            await asyncio.sleep(0)
        table.fails = False

    coming = asyncio.create_task(back())
    known_at = await during(table, seconds=10, reports_every=1.0)
    await coming
    assert known_at is not None
    assert 5 <= known_at <= 7.1
