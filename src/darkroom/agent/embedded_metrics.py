"""The agent's figures for CloudWatch: a line of its log a minute, in the embedded metric format.

A line holds what happened since the one before, so that an agent costs the same however many tasks it does. Its names
are metrics that are paid for: `METRICS` has all of them, each once for a runtime. A minute in which nothing failed has
no `Failed`: CloudWatch bills a metric for the hours in which it has values.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from darkroom.agent.clock import Clock
from darkroom.logs import log
from darkroom.metrics.embedded import Metric, documents
from darkroom.tasks.task import Status

PERIOD_SECONDS = 60.0
RUNTIME = "Runtime"

QUEUE_WAIT = Metric("QueueWait", "Seconds")
# Of one agent in a minute: the average is the duty, as so many of sixty seconds, and the sum the work of the fleet.
DEVICE_BUSY = Metric("DeviceBusy", "Seconds")
ENDS = {
    status: Metric(status.value.capitalize())
    for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED)
}
GIVEN_BACK = Metric("GivenBack")
MODEL_SWITCHES = Metric("ModelSwitches")
METRICS = (QUEUE_WAIT, DEVICE_BUSY, *ENDS.values(), GIVEN_BACK, MODEL_SWITCHES)


class EmbeddedMetrics:
    """Collects a minute's figures of the agent beside one runtime, and logs them."""

    def __init__(self, namespace: str, runtime_name: str, clock: Clock) -> None:
        self._namespace = namespace
        self._dimensions = {RUNTIME: runtime_name}
        self._clock = clock
        self._busy_seconds: Callable[[], float] = lambda: 0.0
        self._busy_before = 0.0
        self._waits: list[float] = []
        self._counts: Counter[Metric] = Counter()

    def watch(self, busy_seconds: Callable[[], float], held: Callable[[], int]) -> None:
        """See `Metrics`."""
        self._busy_seconds = busy_seconds

    def began(self, waited_seconds: float) -> None:
        """See `Metrics`."""
        self._waits.append(round(max(0.0, waited_seconds), 3))  # clocks differ

    def generated(self, kind: str, seconds: float) -> None:
        """See `Metrics`."""

    def switched_model(self) -> None:
        """See `Metrics`."""
        self._counts[MODEL_SWITCHES] += 1

    def ended(self, status: Status, error_type: str | None) -> None:
        """See `Metrics`."""
        if status in ENDS:
            self._counts[ENDS[status]] += 1

    def given_back(self, error_type: str) -> None:
        """See `Metrics`."""
        self._counts[GIVEN_BACK] += 1

    def tell(self) -> None:
        """Log what has come together since the last time."""
        busy = self._busy_seconds()
        figures: dict[Metric, list[float]] = {
            DEVICE_BUSY: [round(busy - self._busy_before, 3)],
            QUEUE_WAIT: self._waits,
            **{metric: [count] for metric, count in self._counts.items()},
        }
        self._busy_before, self._waits, self._counts = busy, [], Counter()
        for document in documents(
            figures, namespace=self._namespace, dimensions=self._dimensions, now=self._clock.now()
        ):
            log(logging.INFO, "agent.metrics", "figures of the last minute, for CloudWatch", **document)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Log the figures once a minute for the body of the `async with`, and what is left at its end."""
        telling = asyncio.create_task(self._tell_for_ever(), name="metrics")
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            self.tell()

    async def _tell_for_ever(self) -> None:
        while True:
            await self._clock.sleep(PERIOD_SECONDS)
            self.tell()
