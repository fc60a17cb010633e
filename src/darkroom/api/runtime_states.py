"""What the front door knows of its runtimes now: their queues' depth, and what their agents say of themselves.

Each is asked for once in a few seconds at most, however many want to know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from darkroom.api.ports import Heartbeats, Ports, QueueDepths
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.estimates import RuntimeState, runtime_state, seconds_until_start, standing
from darkroom.tasks.heartbeat import Heartbeat
from darkroom.tasks.queue_depth import QueueDepth
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import Place
from darkroom.tasks.task import Priority, Status

_FRESH_SECONDS = 2.0


class RuntimeStates:
    """The states of a deployment's runtimes. `clock` tells seconds since 1970 (UTC).

    What cannot be asked is not known: whoever asks after a task is answered all the same.
    """

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._depths = ports.depths
        self._heartbeats = ports.heartbeats
        self._clock = clock
        self._known: dict[str, tuple[float, RuntimeState]] = {}

    async def read(self, runtime: str) -> RuntimeState:
        """What is known of a runtime of the deployment."""
        now = self._clock()
        known = self._known.get(runtime)
        if known is not None and 0 <= now - known[0] < _FRESH_SECONDS:
            return known[1]
        depth, heartbeats = await _depth(self._depths, runtime), await _agents(self._heartbeats, runtime)
        waiting, in_flight = (None, None) if depth is None else (depth.waiting, depth.in_flight)
        state = runtime_state(heartbeats, waiting, in_flight, now)
        self._known[runtime] = (now, state)
        return state

    async def place_of(self, record: TaskRecord) -> Place | None:
        """Where a task that is queued stands, as far as anything tells; None where nothing does."""
        if record.priority is Priority.LOW:
            return None  # those before it are whichever come meanwhile
        if record.status is not Status.QUEUED or record.attempts:
            return None  # one that was tried waits for its next try, not for those before it
        state = await self.read(record.runtime)
        now = self._clock()
        found = standing(state, record.created_at, now)
        if found is None:
            return None
        seconds = seconds_until_start(state, found.before)
        # What an agent has fetched stands in no queue: there may be several such, and none is the next one.
        position = None if found.is_fetched else found.before
        return Place(position=position, starts_at=None if seconds is None else round(now + seconds))


async def _depth(depths: QueueDepths | None, runtime: str) -> QueueDepth | None:
    try:
        return None if depths is None else await depths.read(runtime)
    except AwsFailure as failure:
        log(logging.WARNING, "front_door.queue_unknown", str(failure), runtime=runtime)
        return None


async def _agents(heartbeats: Heartbeats | None, runtime: str) -> list[Heartbeat]:
    try:
        return [] if heartbeats is None else await heartbeats.read(runtime)
    except AwsFailure as failure:
        log(logging.WARNING, "front_door.agents_unknown", str(failure), runtime=runtime)
        return []
