"""The supervisor of a stack's processes, with shells in their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from darkroom.local.supervisor import Program, Supervisor

_DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"


@dataclass
class Watched:
    """A supervisor, and what it has told."""

    supervisor: Supervisor
    told: list[str]

    async def has_logged(self, name: str, text: str) -> None:
        """Return when a program has written `text`."""
        async with asyncio.timeout(10):
            while text not in self.supervisor.log_path(name).read_text():  # noqa: ASYNC110 - nobody tells of a file
                await asyncio.sleep(0.01)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    told: list[str] = []
    supervisor = Supervisor(tmp_path, told.append)
    yield Watched(supervisor, told)
    await supervisor.stop()


def shell(name: str, script: str, patience_seconds: float = 5.0) -> Program:
    return Program(name, ["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin"}, patience_seconds=patience_seconds)


async def test_what_has_nothing_to_tidy_up_is_ended_at_once_and_without_a_word(watched: Watched) -> None:
    await watched.supervisor.start(shell("deaf", _DEAF, patience_seconds=0))
    await watched.has_logged("deaf", "deaf")
    before = time.monotonic()
    await watched.supervisor.stop()
    assert time.monotonic() - before < 2
    assert watched.told == []


async def test_what_does_not_stop_by_itself_is_killed_when_its_time_is_up(watched: Watched) -> None:
    await watched.supervisor.start(shell("deaf", _DEAF, patience_seconds=0.2))
    await watched.has_logged("deaf", "deaf")
    await watched.supervisor.stop()
    assert watched.told == ["deaf did not stop within 0.2 s; killing it"]


async def test_what_stands_by_goes_on_with_the_environment_that_it_is_told(watched: Watched) -> None:
    await watched.supervisor.stand_by(shell("server", "echo loaded; read -r told; echo told $told; exec sleep 60"))
    await watched.has_logged("server", "loaded")
    assert "told" not in watched.supervisor.log_path("server").read_text()
    await watched.supervisor.start(Program("server", ["/bin/sh"], {"QUEUE": "its-url"}))
    await watched.has_logged("server", 'told {"QUEUE": "its-url"}')


async def test_what_stood_by_and_dies_is_started_again_as_its_program_says(watched: Watched) -> None:
    await watched.supervisor.stand_by(shell("server", "read -r told; echo first; exit 3"))
    await watched.supervisor.start(shell("server", "echo second; exec sleep 60"))
    watched.supervisor.is_up()
    await watched.has_logged("server", "second")
    assert watched.told[0].startswith("server ended with exit code 3; starting it again")


async def test_what_dies_standing_by_is_told_when_its_turn_comes(watched: Watched) -> None:
    await watched.supervisor.stand_by(shell("server", "echo no library; exit 4"))
    await watched.has_logged("server", "no library")
    await watched.supervisor.start(shell("server", "exec sleep 60"))
    said = await asyncio.wait_for(asyncio.shield(watched.supervisor.lost), 10)
    assert "server ended with exit code 4 while the stack started" in said
    assert "no library" in said


async def test_what_stands_by_is_stopped_with_the_others(watched: Watched) -> None:
    await watched.supervisor.stand_by(shell("server", "trap 'echo stopped; exit' TERM; echo loaded; read -r told"))
    await watched.has_logged("server", "loaded")
    await watched.supervisor.stop()
    assert "stopped" in watched.supervisor.log_path("server").read_text()


async def test_at_once_means_that_nothing_is_given_time(watched: Watched) -> None:
    await watched.supervisor.start(
        shell("polite", "trap 'echo stopped; exit' TERM; echo up; while :; do sleep 0.05; done")
    )
    await watched.has_logged("polite", "up")
    await watched.supervisor.stop(at_once=True)
    assert watched.told == []
    assert "stopped" not in watched.supervisor.log_path("polite").read_text()
