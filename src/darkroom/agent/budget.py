"""What the agent may hold in memory, in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """Counts the bytes of requests that wait and of pictures that are being stored.

    Nothing is refused once it is here; the agent asks for no further message while the budget is used up.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self.held_bytes = 0
        self.freed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether another message may be fetched."""
        return self.held_bytes < self._maximum_bytes

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        """Count `size_bytes` for the body of the `with`."""
        self.held_bytes += size_bytes
        try:
            yield
        finally:
            self.held_bytes -= size_bytes
            self.freed.set()
