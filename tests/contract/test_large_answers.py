"""A runtime's answer is asked room for before it is read, whether or not its server says how large it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from darkroom.agent.budget import MemoryBudget
from darkroom.errors import MemoryExceeded
from darkroom.runtimes.http import RuntimeHttp
from darkroom.testing.loopback import LoopbackServer

MIB = 1024 * 1024


class Answering(LoopbackServer):
    """Answers with as many bytes as the path says; below /untold without saying how many will come."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/told/{size}", self._tell), web.post("/untold/{size}", self._stream)]

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * int(request.match_info["size"]))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        left = int(request.match_info["size"])
        while left > 0:
            await response.write(b"x" * min(left, 100_000))
            left -= 100_000
        return response


@pytest.fixture
async def http() -> AsyncIterator[RuntimeHttp]:
    async with Answering() as server, aiohttp.ClientSession() as session:
        yield RuntimeHttp(session, URL(f"{server.url}/"))


@pytest.mark.parametrize("folder", ["told", "untold"])
async def test_an_answer_counts_as_its_text_and_the_pictures_in_it(http: RuntimeHttp, folder: str) -> None:
    budget = MemoryBudget(4 * MIB)
    with budget.for_job() as memory:
        answer = await http.post(f"{folder}/{3 * MIB}", None, timeout_seconds=20, memory=memory.answer)
        assert len(answer.body) == 3 * MIB
        assert budget.answers.held_bytes == 3 * MIB * 7 // 4
    assert budget.answers.held_bytes == 0


@pytest.mark.parametrize("folder", ["told", "untold"])
async def test_one_that_would_never_fit_is_refused(http: RuntimeHttp, folder: str) -> None:
    budget = MemoryBudget(1 * MIB)
    with budget.for_job() as memory, pytest.raises(MemoryExceeded, match="the runtime's answer"):
        await http.post(f"{folder}/{20 * MIB}", None, timeout_seconds=20, memory=memory.answer)
    assert budget.answers.held_bytes == 0


@pytest.mark.parametrize("folder", ["told", "untold"])
async def test_one_that_does_not_fit_now_waits_until_others_are_stored(http: RuntimeHttp, folder: str) -> None:
    budget = MemoryBudget(2 * MIB)
    budget.answers.hold(4 * MIB)
    with budget.for_job() as memory:
        path = f"{folder}/{2 * MIB}"
        reading = asyncio.create_task(http.post(path, None, timeout_seconds=20, memory=memory.answer))
        async with asyncio.timeout(10):
            while budget.answers.has_room:  # noqa: ASYNC110 - what is waited for comes through a socket
                await asyncio.sleep(0.01)
        assert not reading.done()
        budget.answers.release(4 * MIB)
        assert len((await reading).body) == 2 * MIB


async def test_a_small_one_asks_nobody(http: RuntimeHttp) -> None:
    budget = MemoryBudget(1 * MIB)
    budget.answers.hold(100 * MIB)
    with budget.for_job() as memory:
        for folder in ("told", "untold"):
            answer = await http.post(f"{folder}/100000", None, timeout_seconds=20, memory=memory.answer)
            assert len(answer.body) == 100_000
