"""Times several ways to do one thing, turn by turn, so that whatever else the machine does hits each of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any


def seconds(
    works: Sequence[Callable[[], Any]], repeat: int, clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """The seconds of each run of each, after a run of each that warms up. What is timed has to wait for its own end."""
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(repeat):
        for work, times in zip(works, taken, strict=True):
            began = clock()
            work()
            times.append(clock() - began)
    return taken
