"""What comes of a simulated run, kept in little memory however long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

# Bins of a histogram of seconds: each is 0.2 % wider than the one before it, from a millisecond on.
BINS_PER_E = 500
SHORTEST = 1e-3
BINS = 12_000
OFFSET = round(-math.log(SHORTEST) * BINS_PER_E)


@dataclass
class Histogram:
    """So many values in each bin; what is below a millisecond is one bin of its own. Percentiles err by 0.1 %."""

    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    none: int = 0
    total: float = 0.0
    most: float = 0.0

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.none + sum(self.bins)

    @property
    def mean(self) -> float:
        """Their mean; 0 where there is none."""
        return self.total / count if (count := self.count) else 0.0

    def percentile(self, share: float) -> float:
        """The value that `share` of them are not above; 0 where there is none."""
        wanted = share * self.count - self.none
        if wanted <= 0:
            return 0.0
        for index, count in enumerate(self.bins):
            wanted -= count
            if wanted <= 0:
                return min(math.exp((index - OFFSET + 0.5) / BINS_PER_E), self.most)
        return self.most

    def share_above(self, seconds: float) -> float:
        """Which part of the values is above so many seconds."""
        if not self.count:
            return 0.0
        first = 0 if seconds <= SHORTEST else int(math.log(seconds) * BINS_PER_E) + OFFSET + 1
        return sum(self.bins[first:]) / self.count


class Steps:
    """How a number changed over time: (second, number) at each change.

    Of more than `limit` changes, neighbours are put together: two of them become one, with the higher number.
    """

    def __init__(self, limit: int = 4_000) -> None:
        self.changes: list[tuple[float, int]] = [(0.0, 0)]
        self._limit = limit

    def put(self, now: float, number: int) -> None:
        """From now on it is `number`."""
        changes = self.changes
        if changes[-1][1] == number:
            return
        if changes[-1][0] == now:
            changes[-1] = (now, number)
            return
        changes.append((now, number))
        if len(changes) > self._limit:
            rest = changes[-1]
            pairs = zip(changes[:-1:2], changes[1:-1:2], strict=False)
            self.changes = [(one[0], max(one[1], other[1])) for one, other in pairs]
            self.changes.append(rest)

    def at(self, second: float) -> int:
        """What it was then."""
        low, high = 0, len(self.changes)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.changes[middle][0] <= second else (low, middle)
        return self.changes[low][1]

    @property
    def most(self) -> int:
        """The highest it ever was."""
        return max(number for _, number in self.changes)


@dataclass
class Outcome:
    """What came of a run. Seconds, unless they say otherwise.

    `node_seconds` are paid: from each claim to its end. `waits`: from a task's arrival to its start, `low_waits`
    those of low priority; `totals`: to its end, of all.
    """

    tasks: int = 0
    waits: Histogram = field(default_factory=Histogram)
    low_waits: Histogram = field(default_factory=Histogram)
    totals: Histogram = field(default_factory=Histogram)
    depth: Steps = field(default_factory=Steps)
    replicas: Steps = field(default_factory=Steps)
    claims: Steps = field(default_factory=Steps)
    deepest: int = 0
    busy_seconds: float = 0.0
    switch_seconds: float = 0.0
    node_seconds: float = 0.0
    spot_seconds: float = 0.0
    free_seconds: float = 0.0
    billed_seconds: float = 0.0
    nodes_launched: int = 0
    launches_refused: int = 0
    interruptions: int = 0
    given_back: int = 0
    ended_at: float = 0.0
    unfinished: int = 0

    @property
    def duty(self) -> float:
        """Which part of what is paid makes pictures."""
        return self.busy_seconds / self.node_seconds if self.node_seconds else 0.0


def median(values: Sequence[float]) -> float:
    """The middle one."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
