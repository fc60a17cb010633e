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
