"""Many requests at once, bounded: what became of each, as they end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from darkroom.client.pictures import Picture
from darkroom.client.requests import TaskRequest
from darkroom.errors import DarkroomError, Fault, InvalidRequest
from darkroom.tasks.task import JsonObject

Request = TaskRequest | JsonObject


class Outcome(msgspec.Struct, frozen=True):
    """What became of one request: its pictures, or the error. `task_id` is None where it was not accepted."""

    request: Request
    task_id: str | None = None
    pictures: tuple[Picture, ...] = ()
    error: DarkroomError | None = None


class _Coming:
    """Requests that are taken as there is room for them. Raises `InvalidRequest` where there never is any."""

    def __init__(self, requests: Iterable[Request], concurrency: int) -> None:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidRequest([Fault("concurrency", f"must be a whole number of at least 1, not {concurrency!r}")])
        self._requests = iter(requests)

    def until_there_are(self, count: int) -> Iterator[Request]:
        return itertools.islice(self._requests, count)


def in_threads(requests: Iterable[Request], work: Callable[[Request], Outcome], concurrency: int) -> Iterator[Outcome]:
    """Do the requests in so many threads, and yield what became of each as it ends.

    A request is taken when there is a thread for it, so `requests` may be endless.
    """
    coming = _Coming(requests, concurrency)
    under_way: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="darkroom-map") as threads:
        while True:
            for request in coming.until_there_are(concurrency - len(under_way)):
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
    coming = _Coming(requests, concurrency)
    under_way: set[asyncio.Future[Outcome]] = set()
    try:
        while True:
            for request in coming.until_there_are(concurrency - len(under_way)):
                under_way.add(asyncio.ensure_future(work(request)))
            if not under_way:
                return
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in under_way:
            future.cancel()
