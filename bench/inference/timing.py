"""Times several ways to do one thing, turn by turn, so that whatever else the machine does hits each of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def median(works: Sequence[Callable[[], Any]], repeat: int) -> list[float]:
    """The median seconds of each, after a run of each that warms up. What is timed has to wait for its own end."""
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(repeat):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]
