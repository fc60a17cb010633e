"""Progress, queues and heartbeats in memory: what the front door is told of runtimes in tests."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.errors import AwsFailure
from darkroom.tasks.heartbeat import Heartbeat
from darkroom.tasks.progress import Progress
from darkroom.tasks.queue_depth import QueueDepth


class MemoryProgress:
    """Keeps how far tasks are in `progress`, by submission."""

    def __init__(self) -> None:
        self.progress: dict[str, Progress] = {}

    async def read(self, submission_ids: Sequence[str]) -> dict[str, Progress]:
        """How far these submissions are."""
        return {id_: self.progress[id_] for id_ in submission_ids if id_ in self.progress}


class MemoryRuntimes:
    """Keeps the depths of queues in `depths` and heartbeats in `beats`, by runtime; counts in `asked` who asks.

    `heartbeats` is the port that the front door has for these.
    """

    def __init__(self) -> None:
        self.depths: dict[str, QueueDepth] = {}
        self.beats: dict[str, list[Heartbeat]] = {}
        self.failure: AwsFailure | None = None
        self.asked = 0
        self.heartbeats = MemoryHeartbeats(self)

    async def read(self, runtime: str) -> QueueDepth | None:
        """How deep a runtime's queue is."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.depths.get(runtime)


class MemoryHeartbeats:
    """Reads the heartbeats of `runtimes`."""

    def __init__(self, runtimes: MemoryRuntimes) -> None:
        self._runtimes = runtimes

    async def read(self, runtime: str) -> list[Heartbeat]:
        """What the agents of a runtime said last."""
        if self._runtimes.failure is not None:
            raise self._runtimes.failure
        return self._runtimes.beats.get(runtime, [])
