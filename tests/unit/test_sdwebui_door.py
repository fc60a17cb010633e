"""Waiting at an SD Web UI's door."""

from __future__ import annotations

import asyncio

from darkroom.runtimes.http import Answer
from darkroom.runtimes.sdwebui.door import Job


async def test_a_turn_is_waited_for_by_whoever_runs_and_by_whoever_stops_it() -> None:
    """The first one to wake lets go of the answer in front; the other one must not stumble over that."""
    answered = asyncio.Event()

    async def exchange() -> Answer:
        await answered.wait()
        return Answer(200, b"")

    previous, own = asyncio.create_task(exchange()), asyncio.create_task(asyncio.sleep(60, Answer(200, b"")))
    job = Job(own, previous)
    waiting = [asyncio.create_task(job.wait_for_turn()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not job.has_its_turn
    answered.set()
    await asyncio.gather(*waiting)
    assert job.has_its_turn
    assert job.previous is None
    own.cancel()
