"""How adapters and the link fetcher ask for memory before they use it."""

from __future__ import annotations

import sys
from typing import Protocol


class NoRoom(Exception):
    """There is no room just now. `needed_bytes` is what is needed in all, with what was taken before."""

    def __init__(self, needed_bytes: int) -> None:
        self.needed_bytes = needed_bytes
        super().__init__(f"{needed_bytes} bytes are not free")


class Memory(Protocol):
    """What one task may hold. `take` and `wait_for` raise `MemoryExceeded` for more than `maximum_bytes`."""

    @property
    def maximum_bytes(self) -> int:
        """The most that a task may have."""
        ...

    def take(self, size_bytes: int) -> None:
        """Reserve more, at once. Raises `NoRoom`: then everything is to be dropped and begun anew later."""
        ...

    async def wait_for(self, size_bytes: int) -> None:
        """Drop what was reserved, and wait until `size_bytes` are."""
        ...

    def resize(self, size_bytes: int) -> None:
        """Keep `size_bytes` reserved, without waiting: it is known what there is."""
        ...


class Unbounded:
    """Memory that nobody counts, for tests and for adapters that run by themselves."""

    maximum_bytes = sys.maxsize

    def take(self, size_bytes: int) -> None:
        """Allow it."""

    async def wait_for(self, size_bytes: int) -> None:
        """Allow it."""

    def resize(self, size_bytes: int) -> None:
        """Allow it."""
