"""What a simulated cluster is made of: pods with an agent each, nodes, and the agenda of what happens when."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum
from typing import Any

Happening = Callable[[float], None]


class Agenda:
    """What is yet to happen, the soonest first; of two at once, the one that was put down first.

    An entry is a pod whose task ends then, or something to call with the time.
    """

    __slots__ = ("_number", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Any]] = []
        self._number = 0

    def put(self, at: float, what: Any) -> None:
        """Put something down."""
        self._number += 1
        heapq.heappush(self.heap, (at, self._number, what))


class Phase(IntEnum):
    """Where a pod stands. `ENDING`: told to stop, and idle; its agent waits for its last poll."""

    PENDING = 0
    STARTING = 1
    IDLE = 2
    BUSY = 3
    ENDING = 4
    GONE = 5


class Pod:
    """One pod of the run `run`.

    `end` is when its task ends; `task` what it works on, `is_low` whether that is of low priority; `told`, that it was
    told to stop. `low_due` and `yields`: what its agent knows of the queue for low priority (`policy/queue_turns`).
    """

    __slots__ = (
        "born", "end", "idle_since", "is_low", "low_due", "model", "node", "phase", "ready_at", "run", "started",
        "task", "told", "yields",
    )  # fmt: skip

    def __init__(self, born: float, run: Any = None) -> None:
        self.born = born
        self.run = run
        self.phase = Phase.PENDING
        self.node: Node | None = None
        self.ready_at = 0.0
        self.idle_since = 0.0
        self.end = 0.0
        self.started = 0.0
        self.task: Any = None
        self.model = -1
        self.told = False
        self.is_low = False
        self.low_due = 0.0
        self.yields = False


class Node:
    """One node, from its claim on. `last_event` is its clock for counting as empty; `pulled`: whose images it has."""

    __slots__ = ("claimed", "drains", "gone_at", "is_ready", "last_event", "pods", "pulled", "room", "spot")

    def __init__(self, claimed: float, spot: bool, room: int) -> None:
        self.claimed = claimed
        self.spot = spot
        self.room = room
        self.pods: set[Pod] = set()
        self.is_ready = False
        self.drains = False
        self.pulled: set[Any] = set()
        self.last_event = 0.0
        self.gone_at = 0.0

    def event(self, now: float, dedupe: float) -> None:
        """A pod came or was told to go."""
        if now - self.last_event >= dedupe:
            self.last_event = now

    @property
    def is_empty(self) -> bool:
        """Whether no pod is here that is to stay."""
        return all(pod.told for pod in self.pods)
