"""Where pictures are decoded and encoded: on threads beside the event loop, with a bound on what waits in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

from darkroom.inference.limits import MAX_REQUEST_PIXELS

T = TypeVar("T")


class Codec:
    """Two readers and two writers: reading is quick, and need not wait for a large picture to be written."""

    def __init__(self, threads: int = 2, pixels: int = MAX_REQUEST_PIXELS) -> None:
        """`pixels`: how many may wait to be written. Whoever brings more waits, and with it the device."""
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._writers = ThreadPoolExecutor(threads, thread_name_prefix="writer")
        self._limit = pixels
        self._unwritten = 0
        self._room = Condition()

    async def read(self, work: Callable[[], T]) -> T:
        """What `work` returns, done by a reader."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def ahead(self, work: Callable[[], T]) -> Future[T]:
        """Let a reader begin, from a thread that will want the result later."""
        return self._readers.submit(work)

    def write(self, pixels: int, work: Callable[[], T]) -> Future[T]:
        """Let a writer do `work`, which holds so many pixels in memory. Called from the device's thread.

        Waits while there are too many; one picture alone is never too many.
        """
        with self._room:
            self._room.wait_for(lambda: not self._unwritten or self._unwritten + pixels <= self._limit)
            self._unwritten += pixels
        try:
            future = self._writers.submit(work)
        except BaseException:
            self._written(pixels)
            raise
        future.add_done_callback(lambda done: self._written(pixels))
        return future

    def close(self) -> None:
        """End the threads; what waits is not begun."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._writers.shutdown(wait=True, cancel_futures=True)

    def _written(self, pixels: int) -> None:
        with self._room:
            self._unwritten -= pixels
            self._room.notify_all()
