"""The device does one job at a time, in order, and can be stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime

import pytest

from darkroom.errors import RuntimeBusy
from darkroom.inference.device import Device, Job

DEADLINE = 5.0


def device(max_waiting: int = 8) -> Device:
    return Device(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), time.monotonic, max_waiting)


async def until(condition: object) -> None:
    async with asyncio.timeout(DEADLINE):  # threads set what is waited for, which no asyncio event could tell
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_jobs_run_one_at_a_time_in_the_order_of_asking() -> None:
    on = device()
    running, most, order = 0, 0, []

    def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        running -= 1
        return number

    results = await asyncio.gather(*(on.run("job", lambda job, number=number: work(number)) for number in range(6)))
    on.close()
    assert results == order == [0, 1, 2, 3, 4, 5]
    assert most == 1


async def test_an_interrupt_reaches_only_the_running_job() -> None:
    on = device()
    stepped = threading.Event()

    def long(job: Job) -> int:
        steps = 0
        while job.step(steps, 1_000_000):
            steps += 1
            stepped.set()
        return steps

    first = asyncio.create_task(on.run("first", long))
    second = asyncio.create_task(on.run("second", lambda job: job.step(1, 2)))
    await until(stepped.is_set)
    await until(lambda: on.status.waiting == 1)
    assert on.status.job == "first"
    assert 0 < on.status.progress <= 1
    on.interrupt()
    assert await first
    assert await second is True
    assert on.status.job == ""
    assert on.status.progress == 0
    on.close()


async def test_skipping_ends_a_round_and_the_next_one_begins() -> None:
    on = device()

    def rounds(job: Job) -> list[bool]:
        seen = []
        for number in range(3):
            assert job.begin_round(number, 3)
            if number == 0:
                job.skip()
            seen.append(job.step(1, 2))
        return seen

    assert await on.run("rounds", rounds) == [False, True, True]
    on.close()


async def test_an_idle_device_ignores_an_interrupt() -> None:
    on = device()
    on.interrupt()
    assert await on.run("job", lambda job: job.step(1, 2)) is True
    on.close()


async def test_work_for_a_client_that_has_left_is_not_done() -> None:
    on = device()
    done = []

    async def gone() -> bool:
        return True

    assert await on.run("job", lambda job: done.append(1), gone) is None
    assert done == []
    on.close()


async def test_too_many_waiting_requests_are_refused() -> None:
    on = device(max_waiting=1)
    release = threading.Event()
    first = asyncio.create_task(on.run("first", lambda job: release.wait(DEADLINE)))
    await until(lambda: on.status.job == "first")
    second = asyncio.create_task(on.run("second", lambda job: True))
    await until(lambda: on.status.waiting == 1)
    with pytest.raises(RuntimeBusy, match="1 requests wait"):
        await on.run("third", lambda job: True)
    release.set()
    assert await first
    assert await second
    on.close()


async def test_a_failed_job_frees_the_device() -> None:
    on = device()

    def fail(job: Job) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await on.run("bad", fail)
    assert await on.run("good", lambda job: 7) == 7
    on.close()


async def test_cancelling_a_request_stops_its_job_before_the_next_begins() -> None:
    on = device()
    stepped, ended = threading.Event(), threading.Event()

    def long(job: Job) -> None:
        while job.step(0, 1_000_000):
            stepped.set()
        ended.set()

    task = asyncio.create_task(on.run("long", long))
    await until(stepped.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert await on.run("next", lambda job: True) is True
    on.close()
