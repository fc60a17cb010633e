"""When something of AWS counts as away, who is told, and how it is found to be back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.health import Health
from darkroom.agent.outages import Outages
from darkroom.errors import AwsDenied, AwsRefused, AwsUnavailable
from darkroom.policy.outcomes import away_seconds


class QuickTime:
    """Time that passes at once when somebody sleeps; `pauses` are how long that was."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.time, sleep=self.sleep, chance=lambda: 1.0)


def failing(times: int, error: AwsUnavailable, what: str = "writing") -> Callable[[], Awaitable[str]]:
    """Something that fails so many times, and then succeeds."""
    left = times

    async def operation() -> str:
        nonlocal left
        if left:
            left -= 1
            error.what = what
            raise error
        return "done"

    return operation


async def test_a_fault_that_has_gone_by_the_next_try_stops_nobody() -> None:
    health = Health()
    begun: list[str] = []
    outages = Outages(health, QuickTime().clock)
    outages.on_begin = begun.append
    assert await outages.persistently(failing(1, AwsUnavailable("409"))) == "done"
    assert (begun, health.aws_away) == ([], {})


async def test_an_outage_is_told_once_and_ends_with_the_operation_that_began_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    health, quick = Health(), QuickTime()
    begun: list[str] = []
    health.runtime_is_ready()
    outages = Outages(health, quick.clock)
    outages.on_begin = begun.append
    seen = []

    async def operation() -> str:
        seen.append(health.ready)
        return await inner()

    inner = failing(12, AwsDenied("AccessDenied"))
    assert await outages.persistently(operation) == "done"
    assert begun == ["writing"]
    assert seen == [True, True] + [False] * 11
    assert (health.ready, health.live, bool(outages)) == (True, True, False)
    assert quick.pauses[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]
    assert max(quick.pauses) == 15.0
    told = [vars(record)["darkroom_fields"]["action"] for record in caplog.records]
    assert told == ["aws.retrying", "aws.away", "aws.back"]


async def test_what_is_final_is_raised() -> None:
    async def refused() -> None:
        raise AwsRefused("KeyTooLongError")

    outages = Outages(Health(), QuickTime().clock)
    with pytest.raises(AwsRefused):
        await outages.persistently(refused)
    with pytest.raises(AwsRefused):
        await outages.once(refused)
    assert not outages


async def test_what_went_back_to_the_queue_is_looked_for_with_the_operation_that_failed() -> None:
    health, clock = Health(), Clock()
    outages = Outages(health, clock)
    operation = failing(2, AwsUnavailable("503"), "reading")
    with pytest.raises(AwsUnavailable):
        await outages.once(operation)
    assert set(health.aws_away) == {"reading"}
    async with asyncio.timeout(10):
        assert await outages.wait(asyncio.Event())
    assert (health.aws_away, await operation()) == ({}, "done")


async def test_an_outage_that_nobody_can_look_for_any_more_is_over() -> None:
    outages = Outages(Health(), QuickTime().clock)
    holding = asyncio.create_task(outages.persistently(failing(10**9, AwsUnavailable("503"))))
    while not outages:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    assert not outages


async def test_whoever_waits_stops_waiting_when_the_agent_is_told_to_stop() -> None:
    outages, stopping = Outages(Health(), Clock()), asyncio.Event()
    with pytest.raises(AwsUnavailable):
        await outages.once(failing(10**9, AwsUnavailable("503")))
    asyncio.get_running_loop().call_later(0.05, stopping.set)
    async with asyncio.timeout(10):
        assert not await outages.wait(stopping)


def test_pauses_grow_and_are_bounded() -> None:
    assert [away_seconds(attempts, 1.0) for attempts in (1, 2, 3, 6, 100)] == [0.5, 1.0, 2.0, 15.0, 15.0]
    assert away_seconds(1, 0.0) == 0.25
