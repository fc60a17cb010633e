"""`GET /v1alpha2/usage` at both doors: whose usage, of which days, and what it cost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.contract.doors import Doors, opened

from darkroom.tasks.replies import UsageView
from darkroom.tasks.usage import DayUsage, Usage


class MemoryUsage:
    """Usage as a table would have it."""

    def __init__(self) -> None:
        self.days: list[DayUsage] = []
        self.asked: list[tuple[str, str]] = []

    async def read(self, callers: Sequence[str], *, first_day: str, last_day: str) -> list[DayUsage]:
        self.asked.append((first_day, last_day))
        return [day for day in self.days if day.caller in callers and first_day <= day.day <= last_day]


@pytest.fixture(params=["lambda", "gateway"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Doors, MemoryUsage]]:
    usage = MemoryUsage()
    for caller in ("shop", "lab", ""):
        for day in ("2026-10-31", "2026-11-01", "2026-11-25"):
            used = Usage(completed=2, failed=1, pictures=3, device_seconds=7.5)
            usage.days.append(DayUsage(caller=caller, runtime="sdruntime", day=day, usage=used))
    async with opened(request.param, usage=usage) as doors:
        doors.clock[0] = 1_795_608_000.0  # 2026-11-25T12:00:00Z
        yield doors, usage


def shown(reply: Any) -> list[tuple[str, str]]:
    return [(day["caller"], day["day"]) for day in reply.body["usage"]]


async def test_a_caller_sees_its_own_usage_of_this_month(door: tuple[Doors, MemoryUsage]) -> None:
    doors, _ = door
    reply = await doors.get("/v1alpha2/usage")
    assert reply.status == 200
    assert (reply.body["from"], reply.body["to"]) == ("2026-11-01", "2026-11-25")
    assert reply.body["usage"][0] == {
        "day": "2026-11-01",
        "caller": "shop",
        "runtime": "sdruntime",
        "tasks": 3,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
        "expired": 0,
        "pictures": 3,
        "device_seconds": 7.5,
    }
    assert shown(reply) == [("shop", "2026-11-01"), ("shop", "2026-11-25")]


async def test_days_and_runtimes_can_be_asked_for(door: tuple[Doors, MemoryUsage]) -> None:
    doors, usage = door
    assert shown(await doors.get("/v1alpha2/usage?from=2026-10-01&to=2026-10-31")) == [("shop", "2026-10-31")]
    assert shown(await doors.get("/v1alpha2/usage?to=2026-10-31")) == [("shop", "2026-10-31")]
    assert usage.asked[-1] == ("2026-10-01", "2026-10-31")
    assert shown(await doors.get("/v1alpha2/usage?runtime=another")) == []


@pytest.mark.parametrize(
    ("query", "path", "says"),
    [
        ("from=yesterday", "from", "must be a day as in 2026-11-25, not 'yesterday'"),
        ("to=2026-02-30", "to", "must be a day"),
        ("from=2026-11-26", "from", "must be a day before `to`, 2026-11-25"),
        ("from=2026-08-01", "from", "93 days at most"),
        ("since=2026-11-01", "since", "is no parameter of usage"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    door: tuple[Doors, MemoryUsage], query: str, path: str, says: str
) -> None:
    doors, usage = door
    reply = await doors.get(f"/v1alpha2/usage?{query}")
    assert reply.status == 400
    (fault,) = reply.body["errors"]
    assert fault["path"] == path
    assert says in fault["reason"]
    assert usage.asked == []


async def test_nobody_sees_anothers_usage_but_an_operator(door: tuple[Doors, MemoryUsage]) -> None:
    doors, _ = door
    assert (await doors.get("/v1alpha2/usage?caller=lab")).status == 403
    assert {caller for caller, _ in shown(await doors.get("/v1alpha2/usage?caller=lab", "boss"))} == {"lab"}
    assert {caller for caller, _ in shown(await doors.get("/v1alpha2/usage?caller=", "boss"))} == {""}
    assert {"shop", "lab", ""} <= {caller for caller, _ in shown(await doors.get("/v1alpha2/usage", "boss"))}


def test_what_it_cost_is_estimated_where_a_price_is_known() -> None:
    day = DayUsage(caller="shop", runtime="r", day="2026-11-25", usage=Usage(completed=1, device_seconds=1800.0))
    assert UsageView.of(day, 0.526).estimated_usd == 0.263
    assert UsageView.of(day, None).estimated_usd is None


async def test_usage_is_only_read(door: tuple[Doors, MemoryUsage]) -> None:
    doors, _ = door
    assert (await doors.send("shop", "PUT", "/v1alpha2/usage", {})).status == 405


@pytest.mark.parametrize("kind", ["lambda", "gateway"])
async def test_without_a_table_there_is_no_usage(kind: str) -> None:
    async with opened(kind) as doors:
        assert (await doors.get("/v1alpha2/usage")).status == 404
