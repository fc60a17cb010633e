"""What the agent may hold in memory, in bytes: reserved before it is used.

Memory is counted in four pools, one for each stage of a job: the payload of its message, what its links led to, the
runtime's answer, and the copies of pictures that are being marked and signed. A job that waits for room in a pool holds
none in that pool and none in a later one, and what it holds in earlier ones nobody waits for who is ahead of it. So
nobody waits in a circle, and every wait ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from darkroom.errors import MemoryExceeded
from darkroom.runtimes.memory import NoRoom

# Links lead to more than a request itself can hold, and an answer is held twice: as the text that came, and as the
# pictures that stand in it.
_INPUTS_SHARE = 2
_ANSWERS_SHARE = 3


class Pool:
    """Bytes that may be held at one stage. `freed` is called whenever some are given back."""

    def __init__(self, maximum_bytes: int, freed: Callable[[], None] = lambda: None) -> None:
        self.maximum_bytes = maximum_bytes
        self.held_bytes = 0
        self._freed = freed
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether more may be begun."""
        return self.held_bytes < self.maximum_bytes and not self._line

    def reserve_now(self, size_bytes: int) -> bool:
        """Reserve, if there is room and nobody waits for it; say whether that was done."""
        if self._line or self.held_bytes + size_bytes > self.maximum_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    async def reserve(self, size_bytes: int) -> None:
        """Reserve, in turn. To be called with at most `maximum_bytes`, and by nobody who holds any of this pool."""
        if self.reserve_now(size_bytes):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size_bytes, turn)
        self._line.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # granted, but cancelled before it woke
                self.release(size_bytes)
            elif entry in self._line:  # otherwise it was passed by, and given nothing
                self._line.remove(entry)
                self._call()
            raise

    def hold(self, size_bytes: int) -> None:
        """Count what is here already, whether there is room or not."""
        self.held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back."""
        self.held_bytes -= size_bytes
        self._call()
        self._freed()

    def _call(self) -> None:
        while self._line and self.held_bytes + self._line[0][0] <= self.maximum_bytes:
            size_bytes, turn = self._line.popleft()
            if not turn.done():
                self.held_bytes += size_bytes
                turn.set_result(None)


class Holding:
    """What one job holds of a pool. `what` names it for the reader of a refusal."""

    def __init__(self, pool: Pool, what: str) -> None:
        self._pool = pool
        self._what = what
        self._reserved = 0
        self._used = 0
        self._is_closed = False

    @property
    def maximum_bytes(self) -> int:
        """The most that one job may hold."""
        return self._pool.maximum_bytes

    def take(self, size_bytes: int) -> None:
        """Reserve more, at once. Raises `NoRoom` where that must be waited for, and `MemoryExceeded`."""
        used = self._used + size_bytes
        self._require_possible(used)
        self._require_open(used)
        missing = used - self._reserved
        if missing > 0:
            if not self._pool.reserve_now(missing):
                raise NoRoom(used)
            self._reserved = used
        self._used = used

    async def wait_for(self, size_bytes: int) -> None:
        """Give back everything, and wait until `size_bytes` are reserved. Raises `MemoryExceeded`.

        Raises `NoRoom` once the job is over: an answer may come later, to nobody, and is not to be read.
        """
        self._require_possible(size_bytes)
        self._require_open(size_bytes)
        self.resize(0)
        await self._pool.reserve(size_bytes)
        if self._is_closed:
            self._pool.release(size_bytes)
        self._require_open(size_bytes)
        self._reserved = size_bytes

    async def wait_for_about(self, size_bytes: int) -> None:
        """The same, for more than that if need be: whoever comes again and again should not have to."""
        await self.wait_for(max(size_bytes, min(2 * size_bytes, self._pool.maximum_bytes)))

    def resize(self, size_bytes: int) -> None:
        """Hold `size_bytes` from now on, without waiting: it is known what there is."""
        if self._is_closed:
            return
        change = size_bytes - self._reserved
        self._reserved = self._used = size_bytes
        if change > 0:
            self._pool.hold(change)
        elif change < 0:
            self._pool.release(-change)

    def close(self) -> None:
        """Give back everything, for good."""
        self.resize(0)
        self._is_closed = True

    def _require_open(self, size_bytes: int) -> None:
        if self._is_closed:
            raise NoRoom(size_bytes)

    def _require_possible(self, size_bytes: int) -> None:
        if size_bytes > self._pool.maximum_bytes:
            raise MemoryExceeded(self._what, size_bytes, self._pool.maximum_bytes)


class JobMemory:
    """What one job holds at each stage; leaving the `with` gives all of it back."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.payload = Holding(budget.payloads, "its request")
        self.inputs = Holding(budget.inputs, "what its links lead to")
        self.answer = Holding(budget.answers, "the runtime's answer with its pictures")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for holding in (self.payload, self.inputs, self.answer):
            holding.close()


class MemoryBudget:
    """The pools of one agent.

    They have `maximum_bytes` for payloads, twice that for inputs, three times for answers, and once more for copies of
    pictures that are being signed.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self.freed = asyncio.Event()
        self.payloads = Pool(maximum_bytes)
        self.inputs = Pool(_INPUTS_SHARE * maximum_bytes)
        self.answers = Pool(_ANSWERS_SHARE * maximum_bytes, self.freed.set)
        self.copies = Pool(maximum_bytes)

    @property
    def has_room(self) -> bool:
        """Whether another message may be fetched: not while answers wait to be stored.

        One that needs much for its payload or its inputs waits for it by itself, and others go past it.
        """
        return self.answers.has_room

    def for_job(self) -> JobMemory:
        """An account for one job, with nothing in it."""
        return JobMemory(self)
