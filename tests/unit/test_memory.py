"""Memory is reserved before it is used, shared in turn, and nobody waits in a circle."""

from __future__ import annotations

import asyncio
import base64
import json

import msgspec
import pytest

from darkroom.agent.budget import MemoryBudget, Pool
from darkroom.errors import MemoryExceeded
from darkroom.runtimes.body import encode_filled
from darkroom.runtimes.memory import NoRoom
from darkroom.runtimes.sdwebui.response import decode_answer, read_generation


async def test_who_waits_gets_its_turn_before_who_comes_later() -> None:
    pool = Pool(100)
    pool.hold(60)
    large = asyncio.create_task(pool.reserve(90))
    await asyncio.sleep(0)
    assert not pool.reserve_now(10)  # there is room, but somebody waits for more of it
    small = asyncio.create_task(pool.reserve(5))
    pool.release(60)
    await large
    await small
    assert pool.held_bytes == 95


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    pool = Pool(100)
    pool.hold(60)
    large, small = asyncio.create_task(pool.reserve(90)), asyncio.create_task(pool.reserve(30))
    await asyncio.sleep(0)
    large.cancel()
    await small
    assert pool.held_bytes == 90
    granted = asyncio.create_task(pool.reserve(10))
    await asyncio.sleep(0)
    pool.release(90)
    waiting = asyncio.create_task(pool.reserve(95))
    await asyncio.sleep(0)
    pool.release(10)
    waiting.cancel()  # it was granted this very moment
    await asyncio.gather(granted, waiting, return_exceptions=True)
    assert pool.held_bytes == 0


async def test_what_is_short_is_waited_for_with_nothing_held() -> None:
    budget = MemoryBudget(50)
    with budget.for_job() as one, budget.for_job() as other:
        one.inputs.take(60)
        other.inputs.take(30)
        with pytest.raises(NoRoom) as short:
            one.inputs.take(20)
        waiting = asyncio.create_task(one.inputs.wait_for(short.value.needed_bytes))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert budget.inputs.held_bytes == 30
        other.inputs.resize(0)
        await waiting
        one.inputs.take(80)
    assert budget.inputs.held_bytes == 0


async def test_who_leaves_the_line_in_the_moment_when_room_is_made_gives_back_only_what_it_was_given() -> None:
    pool = Pool(100)
    pool.hold(100)
    waiting = asyncio.create_task(pool.reserve(60))
    await asyncio.sleep(0)
    waiting.cancel()
    pool.release(60)  # before the one that was cancelled has woken
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool.held_bytes == 40
    granted = asyncio.create_task(pool.reserve(70))
    await asyncio.sleep(0)
    pool.release(40)
    assert pool.held_bytes == 70
    granted.cancel()  # granted, but not yet woken
    await asyncio.gather(granted, return_exceptions=True)
    assert pool.held_bytes == 0


async def test_two_tasks_that_each_want_the_others_rest_both_end() -> None:
    budget = MemoryBudget(50)
    ended = []

    async def work(name: str) -> None:
        with budget.for_job() as memory:
            while True:
                try:
                    for _ in range(8):
                        memory.inputs.take(10)
                        await asyncio.sleep(0)
                    break
                except NoRoom as short:
                    await memory.inputs.wait_for_about(short.needed_bytes)
            ended.append(name)

    async with asyncio.timeout(5):
        await asyncio.gather(*(work(name) for name in "abcdef"))
    assert sorted(ended) == list("abcdef")
    assert budget.inputs.held_bytes == 0


async def test_who_comes_after_its_job_is_over_reserves_nothing() -> None:
    budget = MemoryBudget(50)
    budget.answers.hold(100)
    with budget.for_job() as memory:
        late = asyncio.create_task(memory.answer.wait_for(100))
        await asyncio.sleep(0)
    budget.answers.release(100)
    with pytest.raises(NoRoom):
        await late
    with pytest.raises(NoRoom):
        await memory.answer.wait_for(10)
    with pytest.raises(NoRoom):
        memory.inputs.take(10)
    memory.answer.resize(10)
    assert (budget.answers.held_bytes, budget.inputs.held_bytes) == (0, 0)


async def test_more_than_a_task_may_ever_have_is_refused_with_the_limit_and_the_setting() -> None:
    with MemoryBudget(24 * 1024**2).for_job() as memory:
        with pytest.raises(MemoryExceeded, match=r"60 MiB.* may take 48 MiB: .* DARKROOM_MAX_HELD_BYTES"):
            memory.inputs.take(60 * 1024**2)
        with pytest.raises(MemoryExceeded):
            await memory.answer.wait_for(100 * 1024**2)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 200_000, 196_608, 500_001])
async def test_a_filled_body_is_the_json_that_it_stands_for(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    content = {"a": ["LINK", {"b": "LINK", "text": 'quotes " and LINK'}], "c": "OTHER", "é": None}
    body = encode_filled(content, {"LINK": data, "OTHER": b"xyz"})
    text = b"".join([chunk async for chunk in body.chunks()])
    encoded = base64.b64encode(data).decode()
    assert json.loads(text) == {
        "a": [encoded, {"b": encoded, "text": 'quotes " and LINK'}],
        "c": base64.b64encode(b"xyz").decode(),
        "é": None,
    }
    assert len(text) == body.sent_bytes
    assert body.held_bytes < size + 300  # each file once, and never as base64


@pytest.mark.parametrize(
    "written",
    [
        '"AAEC"',
        '"data:image/png;base64,AAEC"',
        r'"AA\nEC"',
        r'"AAEC\r\n"',
        r'"data:image\/png;base64,AAEC"',
        '"data:image/png;name=' + "x" * 200 + ';base64,AAEC"',
    ],
)
def test_pictures_are_read_out_of_an_answer_where_they_stand(written: str) -> None:
    body = f'  {{"images": [{written}, "AwQF"], "info": "", "parameters": {{"n": 1}}}}'.encode()
    generation = read_generation(decode_answer(body))
    assert [output.body for output in generation.outputs] == [b"\0\1\2", b"\3\4\5"]
    assert generation.response == {"images": [None, None], "info": "", "parameters": {"n": 1}}
    msgspec.json.encode(generation.response)
