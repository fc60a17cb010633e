"""`darkroom usage` against a front door on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import subprocess
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from tests.command_line import darkroom

from darkroom.cli.tables import print_table
from darkroom.cli.usage import usage_table
from darkroom.tasks.replies import UsageReply, UsageView
from darkroom.tasks.usage import DayUsage, Usage
from darkroom.testing.loopback import LoopbackServer

LONG = "a-runtime-with-a-name-of-forty-character"
DAYS = [
    DayUsage(
        caller=caller, runtime=runtime, day=day, usage=Usage(completed=10, failed=2, pictures=12, device_seconds=90)
    )
    for caller in ("shop", "a-caller-whose-name-has-forty-characters")
    for runtime in ("sdruntime", LONG)
    for day in ("2026-11-24", "2026-11-25")
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Door(LoopbackServer):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[dict[str, str], str]] = []
        self.busy = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/prod/v1alpha2/usage", self._usage)]

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.query), request.headers["x-api-key"]))
        if len(self.asked) <= self.busy:
            return web.Response(status=503)
        if request.query.get("caller"):
            error = b'{"message": "Only a caller of the role operator may send the parameter \'caller\'."}'
            return web.Response(status=403, body=error, content_type="application/json")
        views = [UsageView.of(day, 1.0 if day.runtime == LONG else None) for day in DAYS]
        reply = UsageReply(first_day="2026-11-01", last_day="2026-11-25", usage=views)
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door() as opened:
        yield opened


async def usage(door: Door, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--endpoint", f"{door.url}/prod", "--api-key", "k"]
    environment = {**os.environ, "COLUMNS": "80"}
    return await asyncio.to_thread(darkroom, "usage", *arguments, *options, environment=environment)


async def test_usage_is_a_table_with_a_sum_whose_rows_are_whole_in_a_pipe(door: Door) -> None:
    done = await usage(door, "--from", "2026-11-01", "--runtime", "sdruntime")
    assert done.returncode == 0, done.stderr
    assert door.asked == [({"from": "2026-11-01", "runtime": "sdruntime"}, "k")]
    lines = done.stdout.splitlines()
    title, heading, *rows, together = (line.split() for line in lines)
    assert title == ["Used", "from", "2026-11-01", "to", "2026-11-25"]
    assert heading == ["Day", "Caller", "Runtime", "Tasks", "Failed", "Pictures", "Device", "USD"]
    assert [row[:3] for row in rows] == [[day.day, day.caller, day.runtime] for day in DAYS]
    assert together == ["Together", "96", "16", "96", "720", "s", ">0.10"]


def test_usage_fits_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    views = [UsageView.of(day, 1.0) for day in DAYS]
    reply = UsageReply(first_day="2026-11-01", last_day="2026-11-25", usage=views)
    with contextlib.redirect_stdout(Terminal()) as shown:
        print_table(usage_table(reply))
    assert max(map(len, shown.getvalue().splitlines())) <= 80
    assert "2026-11-25" in shown.getvalue()
    assert "…" not in shown.getvalue()


async def test_usage_is_json_for_scripts(door: Door) -> None:
    done = await usage(door, "--json")
    views = [msgspec.json.decode(line, type=UsageView) for line in done.stdout.splitlines()]
    assert [(view.caller, view.runtime, view.day) for view in views] == [
        (day.caller, day.runtime, day.day) for day in DAYS
    ]


async def test_what_the_front_door_refuses_is_said(door: Door) -> None:
    done = await usage(door, "--caller", "lab")
    assert done.returncode != 0
    assert "role operator" in " ".join(done.stderr.split())


async def test_a_front_door_that_is_busy_for_a_moment_is_asked_again(door: Door) -> None:
    door.busy = 1
    shown = await usage(door, "--json")
    assert shown.returncode == 0, shown.stderr
    assert len(door.asked) == 2
