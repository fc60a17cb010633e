"""Waiting at an SD Web UI's door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

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
        self.interrupts: list[str] = []
        self.questions = 0
        self.on_interrupt: Callable[[], None] = lambda: None

    async def get(self, path: str, **_: Any) -> Answer:
        self.questions += 1
        return Answer(200, msgspec.json.encode(self.doing))

    async def post(self, path: str, body: Any, **_: Any) -> Answer:
        if path.endswith("interrupt"):
            self.interrupts.append(path)
            self.on_interrupt()
            return Answer(200, b"{}")
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def works_on(self, timestamp: str | None, fraction: float, step: int = 0) -> None:
        state = {"job_count": 1, "job_timestamp": timestamp, "sampling_step": step, "sampling_steps": 20}
        self.doing = {"progress": fraction, "eta_relative": 1.0, "state": state}


async def door_with_one_job(timings: Timings | None = None) -> tuple[Server, Door, Job]:
    server: Any = Server()
    door = Door(server, timings or Timings())
    door.lost_touch = False
    first = send(door)
    await asyncio.sleep(0)
    return server, door, first


def anything_new() -> Any:
    return object()


async def test_a_jobs_progress_is_its_own_and_not_that_of_the_one_that_follows_it() -> None:
    """The server may be at the next one long before the pictures of this one have come."""
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5, step=10)
    assert await door.progress_of(first) == Progress(0.5, 1.0, step=10, steps=20)
    second = send(door)
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
    send(door)
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


async def test_a_jobs_stamp_is_learned_before_another_one_is_sent() -> None:
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5, step=10)
    await door.learn_whose_turn_it_is()
    send(door)
    await asyncio.sleep(0)
    assert await door.progress_of(first) == Progress(0.5, 1.0, step=10, steps=20)
    server.works_on("20261125120001", 0.1)
    assert await door.progress_of(first) is None
    await door.close()


async def test_the_last_jobs_stamp_is_not_taken_for_that_of_one_that_has_not_begun() -> None:
    """Idle, the server tells of the last job; its word comes a moment before it begins with this one."""
    server, door, first = await door_with_one_job()
    server.works_on("20261125115959", 1.0)
    server.doing["state"]["job_count"] = 0
    assert await door.progress_of(first) is None
    learning = asyncio.create_task(door.learn_whose_turn_it_is())
    await asyncio.sleep(0)
    server.works_on("20261125120000", 0.5, step=10)
    await learning
    send(door)
    await asyncio.sleep(0)
    assert await door.progress_of(first) == Progress(0.5, 1.0, step=10, steps=20)
    await door.close()


async def test_nobody_waits_long_for_a_job_to_begin() -> None:
    server, door, _ = await door_with_one_job()
    server.works_on("20261125115959", 1.0)
    server.doing["state"]["job_count"] = 0
    async with asyncio.timeout(5):
        await door.learn_whose_turn_it_is()
    asked = server.questions
    await door.learn_whose_turn_it_is()
    assert server.questions == asked + 1  # a server that never says what it does is waited for once
    server.works_on(None, 0.5)  # nor does a server keep anybody waiting that has no time stamps
    for number in (2, 3):
        await door.learn_whose_turn_it_is()
        assert server.questions == asked + number
    await door.close()


def send(door: Door) -> Job:
    anything: Any = None
    return door.send(anything_new(), "txt2img", anything, anything)


async def test_a_job_whose_answer_is_on_its_way_is_not_interrupted_for_the_one_behind_it_would_be() -> None:
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5)
    await door.learn_whose_turn_it_is()
    second = send(door)
    await asyncio.sleep(0)
    server.works_on("20261125120009", 0.1)
    stopping = asyncio.create_task(door.stop(first))
    await asyncio.wait({stopping}, timeout=0.05)
    server.answers[0].set_result(Answer(200, b""))
    await stopping
    assert server.interrupts == []
    assert not second.was_hit
    await door.close()


@pytest.mark.parametrize("hit", ["first", "second"])
async def test_who_was_interrupted_in_anothers_place_is_known(hit: str) -> None:
    """The server may turn to the next one between the last look and the interrupt."""
    server, door, first = await door_with_one_job()
    server.works_on("20261125120000", 0.5)
    await door.learn_whose_turn_it_is()
    second = send(door)
    await asyncio.sleep(0)

    def interrupted() -> None:
        server.works_on("20261125120009", 0.1)
        server.doing["state"]["interrupted"] = hit == "second"
        server.answers[0].set_result(Answer(200, b""))

    server.on_interrupt = interrupted
    await door.stop(first)
    assert server.interrupts == ["sdapi/v1/interrupt"]
    assert second.was_hit == (hit == "second")
    await door.close()


async def test_of_two_that_begin_in_one_second_the_second_is_not_interrupted_for_the_first() -> None:
    server, door, first = await door_with_one_job(Timings(interrupt_interval=0.01))
    server.works_on("20261125120000", 0.5)
    stopping = asyncio.create_task(door.stop(first))
    while not server.interrupts:  # noqa: ASYNC110
        await asyncio.sleep(0)
    second = send(door)
    server.works_on("20261125120000", 0.1)
    interrupts = len(server.interrupts)
    await asyncio.wait({stopping}, timeout=0.1)
    assert len(server.interrupts) == interrupts
    server.answers[0].set_result(Answer(200, b""))
    await stopping
    assert not second.was_hit
    await door.close()


async def test_who_had_not_begun_is_interrupted_again_when_he_has() -> None:
    server, door, first = await door_with_one_job(Timings(interrupt_interval=0.01))
    server.works_on(None, 0.0)
    server.doing["state"]["job_count"] = 0

    def interrupted() -> None:
        if server.doing["state"]["job_count"]:
            server.answers[0].set_result(Answer(200, b""))

    server.on_interrupt = interrupted
    stopping = asyncio.create_task(door.stop(first))
    while not server.interrupts:  # noqa: ASYNC110
        await asyncio.sleep(0)
    send(door)
    server.works_on("20261125120000", 0.5)
    await asyncio.wait_for(stopping, 10)
    assert first.exchange.done()
    await door.close()
