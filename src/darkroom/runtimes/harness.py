"""What the contract suite asks of whoever has an adapter tested: the adapter, and a server that does as it is told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from darkroom.runtimes.protocol import Generation, GenerationRequest, Runtime

# Long enough for a machine that is busy with other tests; nothing waits this long unless it fails.
PATIENCE_SECONDS = 20.0


class RuntimeHarness(ABC):
    """An adapter, and a server at its other end that does as it is told."""

    runtime: Runtime

    @abstractmethod
    def request(self, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> GenerationRequest:
        """A request that succeeds; requests of different tasks must not be answered from a cache."""

    @abstractmethod
    def bad_request(self, task_id: str) -> GenerationRequest:
        """A request that the server refuses, whenever it is sent."""

    @abstractmethod
    def link_request(self, task_id: str) -> GenerationRequest:
        """A request with a link, and the file that it led to."""

    @abstractmethod
    def received(self) -> str:
        """Everything that the server was sent so far, as text."""

    @abstractmethod
    def set_latency(self, seconds: float) -> None:
        """How long a generation takes from now on."""

    @abstractmethod
    def fail_next(self) -> None:
        """The next generation ends with a fault of the server's own."""

    @abstractmethod
    def hang_next(self) -> None:
        """The next generation never ends, unless it is interrupted."""

    @abstractmethod
    def crash_next(self) -> None:
        """The server dies during the next generation."""

    @abstractmethod
    def is_generating(self) -> bool:
        """Whether the server's device is busy."""

    @abstractmethod
    async def restart(self) -> None:
        """Start the server again after a crash."""


async def generate(runtime: Runtime, request: GenerationRequest) -> Generation:
    """Take a request all the way."""
    prepared = await runtime.prepare(request)
    return await runtime.collect(await runtime.run(prepared, lambda _: None))


async def wait_until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds. Raises `TimeoutError`."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a server, and sets no event
            await asyncio.sleep(0.005)
