"""A receiver of webhooks beside a test that does not run in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from darkroom.testing.fake_receiver import FakeReceiver


@contextmanager
def receiving() -> Iterator[FakeReceiver]:
    """A receiver that listens in a thread of its own."""
    receiver, opened, over = FakeReceiver(), threading.Event(), threading.Event()

    async def listen() -> None:
        async with receiver:
            opened.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    try:
        assert opened.wait(10)
        yield receiver
    finally:
        over.set()
        thread.join()
