"""One submitted workflow as its messages tell of it. Pure: messages go in, a state comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from darkroom.errors import DarkroomError, MemoryExceeded
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.runtimes.comfyui.errors import failure_of_event
from darkroom.runtimes.comfyui.workflow import describe_node, websocket_nodes
from darkroom.runtimes.memory import Memory, Unbounded
from darkroom.runtimes.protocol import Progress, ProgressListener


class PromptWatch:
    """Follows one prompt. `changed` is set whenever something worth waking up for has happened.

    `is_over` means that the server is done with it, well or badly: `executing` with node null follows an error too.
    """

    def __init__(
        self,
        workflow: Workflow,
        report: ProgressListener,
        clock: Callable[[], float],
        memory: Memory | None = None,
    ) -> None:
        self.workflow = workflow
        self.changed = asyncio.Event()
        self.is_over = False
        self.was_cut = False
        self.failure: DarkroomError | None = None
        self.cached: frozenset[str] = frozenset()
        self.shown: set[str] = set()
        self.pictures: dict[str, list[bytes]] = {node_id: [] for node_id in websocket_nodes(workflow)}
        self.progress: Progress | None = None
        self._announced = dict.fromkeys(self.pictures, 1)
        self._node: str | None = None
        self._finished: set[str] = set()
        self._memory = memory or Unbounded()
        self._held_bytes = 0
        self._report = report
        self._clock = clock
        self._first_step: tuple[float, float] | None = None

    def handle(self, event: str, data: dict[str, Any]) -> None:
        """Take a message that is about this prompt."""
        if event == "execution_start":
            self._publish(0.0, None)
        elif event == "execution_cached":
            self.cached = frozenset(str(node) for node in data.get("nodes", ()))
            self._finished |= self.cached
        elif event == "executing":
            self._turn_to(data.get("node"))
        elif event == "progress":
            self._step(str(data.get("node")), data.get("value"), data.get("max"))
        elif event == "executed":
            self.shown.add(str(data.get("node")))
        elif event in ("execution_error", "execution_interrupted"):
            self.failure = failure_of_event(event, data, self.workflow)

    def handle_picture(self, data: bytes, node: str | None = None) -> None:
        """Take a picture from a binary frame. Those of a websocket output are results, all others are previews."""
        node = node or self._node
        if node not in self.pictures or self.is_over:
            return
        self._held_bytes += len(data)
        if self._held_bytes <= self._memory.maximum_bytes:
            self._memory.resize(self._held_bytes)
            self.pictures[node].append(data)
            return
        self.failure = MemoryExceeded("what the runtime sent", self._held_bytes, self._memory.maximum_bytes)
        for pictures in self.pictures.values():
            pictures.clear()
        self.is_over = True
        self.changed.set()

    def handle_cut(self) -> None:
        """The socket closed: whatever is sent from now on is missed."""
        self.was_cut = True
        self.changed.set()

    @property
    def answered_from_cache(self) -> bool:
        """Whether files were named that were not made now, and so may be gone."""
        return bool(self.cached & self.shown)

    @property
    def missed_pictures(self) -> bool:
        """Whether pictures that only the websocket carries did not all arrive."""
        return any(len(pictures) < self._announced[node] for node, pictures in self.pictures.items())

    def _turn_to(self, node: Any) -> None:
        if self._node is not None:
            self._finished.add(self._node)
        self._node, self._first_step = (None if node is None else str(node)), None
        if node is None:
            self.is_over = True
            self.changed.set()
        else:
            self._publish(0.0, None)

    def _step(self, node: str, value: Any, maximum: Any) -> None:
        if not isinstance(value, int | float) or not isinstance(maximum, int | float) or maximum <= 0:
            return
        if node in self.pictures:
            self._announced[node] = max(1, int(maximum))
        now, remaining = self._clock(), None
        if self._first_step is None:
            self._first_step = (now, value)
        elif value > self._first_step[1]:
            pace = (now - self._first_step[0]) / (value - self._first_step[1])
            remaining = pace * (maximum - value)
        self._publish(value / maximum, remaining, (int(value), int(maximum)))

    def _publish(self, part_of_node: float, remaining: float | None, at: tuple[int, int] | None = None) -> None:
        done = len(self._finished & self.workflow.keys()) + min(1.0, part_of_node)
        fraction = min(1.0, done / max(1, len(self.workflow)))
        stage = ""
        if self._node is not None:
            step = "" if at is None else f", step {at[0]} of {at[1]}"
            stage = f"node {describe_node(self.workflow, self._node)}{step}"
        step_of, steps = (None, None) if at is None else at
        self.progress = Progress(fraction, remaining, stage or None, step_of, steps)
        self._report(self.progress)
