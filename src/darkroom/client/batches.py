"""Many requests at once, bounded: what became of each, as they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from darkroom.client.pictures import Picture
from darkroom.client.requests import TaskRequest
from darkroom.errors import DarkroomError
from darkroom.tasks.task import JsonObject

Request = TaskRequest | JsonObject


class Outcome(msgspec.Struct, frozen=True):
    """What became of one request: its pictures, or the error. `task_id` is None where it was not accepted."""

    request: Request
    task_id: str | None = None
    pictures: tuple[Picture, ...] = ()
    error: DarkroomError | None = None


def in_threads(requests: Iterable[Request], work: Callable[[Request], Outcome], concurrency: int) -> Iterator[Outcome]:
    """Do the requests in so many threads, and yield what became of each as it ends.

    A request is taken when there is a thread for it, so `requests` may be endless.
    """
    coming = iter(requests)
    under_way: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="darkroom-map") as threads:
        while True:
            while len(under_way) < concurrency and (request := next(coming, None)) is not None:
                under_way.add(threads.submit(work, request))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


async def in_tasks(
    requests: Iterable[Request], work: Callable[[Request], Awaitable[Outcome]], concurrency: int
) -> AsyncIterator[Outcome]:
    """The same with so many coroutines."""
    coming = iter(requests)
    under_way: set[asyncio.Future[Outcome]] = set()
    try:
        while True:
            while len(under_way) < concurrency and (request := next(coming, None)) is not None:
                under_way.add(asyncio.ensure_future(work(request)))
            if not under_way:
                return
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in under_way:
            future.cancel()
