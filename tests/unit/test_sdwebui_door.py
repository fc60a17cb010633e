"""Waiting at an SD Web UI's door."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from darkroom.runtimes.http import Answer
from darkroom.runtimes.protocol import Progress
from darkroom.runtimes.sdwebui.door import Door, Job, Timings


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


class Server:
    """An SD Web UI as far as its door asks it: what it does just now, and requests that are answered when told."""

    def __init__(self) -> None:
        self.doing: dict[str, Any] = {}
        self.answers: list[asyncio.Future[Answer]] = []

    async def get(self, path: str, **_: Any) -> Answer:
        return Answer(200, msgspec.json.encode(self.doing))

    async def post(self, path: str, body: Any, **_: Any) -> Answer:
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def works_on(self, timestamp: str | None, fraction: float, step: int = 0) -> None:
        state = {"job_count": 1, "job_timestamp": timestamp, "sampling_step": step, "sampling_steps": 20}
        self.doing = {"progress": fraction, "eta_relative": 1.0, "state": state}


async def door_with_one_job() -> tuple[Server, Door, Job]:
    server: Any = Server()
    door = Door(server, Timings())
    door.lost_touch = False
    anything: Any = None
    first = door.send(anything_new(), "txt2img", anything, anything)
    await asyncio.sleep(0)
    return server, door, first


def anything_new() -> Any:
    return object()


async def test_a_jobs_progress_is_its_own_and_not_that_of_the_one_that_follows_it() -> None:
    """The server may be at the next one long before the pictures of this one have come."""
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5, step=10)
    assert await door.progress_of(first) == Progress(0.5, 1.0, step=10, steps=20)
    anything: Any = None
    second = door.send(anything_new(), "txt2img", anything, anything)
    await asyncio.sleep(0)
    server.works_on("20261125120000", 0.9, step=18)
    assert await door.progress_of(first) == Progress(0.9, 1.0, step=18, steps=20)
    assert await door.progress_of(second) is None
    server.works_on("20261125120007", 0.1, step=2)
    assert await door.progress_of(first) is None
    server.answers[0].set_result(Answer(200, b""))
    await asyncio.wait({first.exchange})
    await asyncio.sleep(0)
    assert await door.progress_of(first) is None
    assert await door.progress_of(second) == Progress(0.1, 1.0, step=2, steps=20)
    await door.close()


async def test_a_job_that_was_never_seen_alone_is_not_told_of_while_another_one_is_there() -> None:
    server, door, first = await door_with_one_job()
    anything: Any = None
    door.send(anything_new(), "txt2img", anything, anything)
    await asyncio.sleep(0)
    for timestamp in ("20261125120000", None):
        server.works_on(timestamp, 0.5)
        assert await door.progress_of(first) is None
    await door.close()


async def test_nothing_is_told_of_a_job_while_a_lost_one_may_run() -> None:
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5)
    door.lost_touch = True
    assert await door.progress_of(first) is None
    await door.close()
