"""What a task takes in memory is reserved first: tasks wait for each other, and what can never be is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.task import Status, TaskKind
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.loopback import LoopbackServer
from darkroom.testing.pictures import plain
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, submit, task_for, until, until_empty, working

MIB = 1024 * 1024


class Site(LoopbackServer):
    """A web server with pictures of 3 MiB; it says how large they are below /told, not below /untold, and hangs below
    /never.
    """

    picture = plain(3 * MIB)
    hung = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/told/{name}", self._tell),
            web.get("/untold/{name}", self._stream),
            web.get("/never/{name}", self._hang),
        ]

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        self.hung += 1
        await asyncio.sleep(60)
        return web.Response()

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self.picture)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for start in range(0, len(self.picture), 256 * 1024):
            await response.write(self.picture[start : start + 256 * 1024])
            await asyncio.sleep(0.005)
        return response


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        yield site


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


@pytest.mark.parametrize("folder", ["told", "untold"])
async def test_tasks_share_what_there_is_and_all_end(
    folder: str, plane: Plane, runtime: FakeSdWebui, site: Site
) -> None:
    # Room for the pictures of one task and a half.
    async with working(settings_for(plane, runtime.url, maximum_held_bytes=5 * MIB)):
        for number in range(6):
            links = [f"{site.url}/{folder}/{number}-{which}.png" for which in range(2)]
            content = {"init_images": links}
            await submit(plane, task_for(plane, f"t{number}", kind=TaskKind.IMAGE_TO_IMAGE, content=content))
        ends = await notified(plane, 6)
        await until_empty(plane.queue)
    assert {(end.id, end.status) for end, _ in ends} == {(f"t{number}", Status.COMPLETED) for number in range(6)}
    assert all(len(request["init_images"][0]) == len(site.picture) * 4 // 3 for request in runtime.requests)


@pytest.mark.parametrize("folder", ["told", "untold"])
async def test_links_to_more_than_one_task_may_hold_are_refused_with_the_setting(
    folder: str, plane: Plane, runtime: FakeSdWebui, site: Site
) -> None:
    async with working(settings_for(plane, runtime.url, maximum_held_bytes=2 * MIB)):
        content = {"init_images": [f"{site.url}/{folder}/{number}.png" for number in range(4)]}
        await submit(plane, task_for(plane, "large", kind=TaskKind.IMAGE_TO_IMAGE, content=content))
        await submit(plane, task_for(plane, "plain"))
        ends = {end.id: end for end, _ in await notified(plane, 2)}
    assert ends["plain"].status is Status.COMPLETED
    error = ends["large"].error
    assert error
    assert (error.type, error.retryable) == ("MemoryExceeded", False)
    assert "may take 4 MiB" in error.message
    assert "DARKROOM_MAX_HELD_BYTES" in error.message


async def test_an_answer_that_is_too_large_ends_its_task_and_no_other(plane: Plane) -> None:
    async with (
        FakeSdWebui(plain_bytes=MIB) as large,
        working(settings_for(plane, large.url, maximum_held_bytes=MIB)),
    ):
        await submit(plane, task_for(plane, "batch", content={"prompt": "a dog", "batch_size": 4}))
        await submit(plane, task_for(plane, "single"))
        ends = {end.id: end for end, _ in await notified(plane, 2)}
    assert ends["single"].status is Status.COMPLETED
    error = ends["batch"].error
    assert error
    assert error.type == "MemoryExceeded"
    assert "the runtime's answer" in error.message


async def test_who_waits_for_memory_is_given_back_at_a_shutdown(plane: Plane, runtime: FakeSdWebui, site: Site) -> None:
    # A payload of 1 MB takes 3 MB while it is read, and 2 MB afterwards: the second one waits in front of the bucket.
    async with working(settings_for(plane, runtime.url, maximum_held_bytes=3_100_000), grace_seconds=11):
        for number in range(2):
            content = {"init_images": [f"{site.url}/never/{number}.png"], "prompt": "p" * 1_000_000}
            task = task_for(plane, f"t{number}", kind=TaskKind.IMAGE_TO_IMAGE, content=content)
            key = f"{RESERVED_PREFIX}{number}"
            await plane.aws.bucket(plane.provisioned.bucket).put(key, encode_message(task).encode(), "text/plain")
            await plane.aws.topic(plane.provisioned.input_topic_arn).publish(
                encode_pointer(PayloadPointer(plane.provisioned.bucket, key)),
                {"runtime": plane.runtime},
                payload_size=1_000_200,
            )
        async with asyncio.timeout(20):
            while (await plane.queue.read_attributes()).in_flight < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await until(lambda: site.hung >= 1)
    assert site.hung == 1
    attributes = await plane.queue.read_attributes()
    assert (attributes.visible, attributes.in_flight) == (2, 0)
