"""What happens, in the order of time: tasks that come, tasks that end, and whatever the agenda holds."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Protocol

from darkroom.planner.simulation.parts import Agenda, Phase, Pod

DAY = 86_400.0


class Runs(Protocol):
    """One runtime of a run."""

    @property
    def arrivals(self) -> Iterator[float]:
        """When tasks come."""

    @property
    def is_over(self) -> bool:
        """Whether all is done, and what is still there would stay for ever."""

    @property
    def waits_for_nothing(self) -> bool:
        """Whether all tasks have come and are done."""

    def arrives(self, now: float) -> None:
        """A task comes."""

    def no_more_come(self, now: float) -> None:
        """That was the last task."""


def follow(runs: Sequence[Runs], agenda: Agenda, until: float) -> float:
    """Let happen what happens, in the order of time. Returns the moment at which it ended."""
    heap, pop = agenda.heap, heapq.heappop
    moments = _merged(runs)
    arrives, one = next(moments, (math.inf, runs[0]))
    alone = runs[0] if len(runs) == 1 else None
    now = ended = 0.0
    while True:
        if arrives <= (heap[0][0] if heap else math.inf):
            if arrives > until or arrives == math.inf:
                break
            now = arrives
            one.arrives(now)
            arrives, following = next(moments, (math.inf, one))
            if arrives == math.inf:
                for each in runs:
                    each.no_more_come(now)
            one = following
            continue
        if heap[0][0] > until or (alone is not None and alone.is_over):
            break
        now, _, what = pop(heap)
        if what.__class__ is Pod:
            # Else it was taken from its pod.
            if what.end == now and what.phase is Phase.BUSY:
                ended = now
                what.run.ends(what, now)
            continue
        what(now)
        if now > ended + DAY and until == math.inf and all(each.waits_for_nothing for each in runs):
            break  # what is still there stays: no budget lets it go
    return now


def _merged(runs: Sequence[Runs]) -> Iterator[tuple[float, Runs]]:
    if len(runs) == 1:
        return zip(runs[0].arrivals, repeat(runs[0]))
    return heapq.merge(*(zip(one.arrivals, repeat(one)) for one in runs), key=itemgetter(0))
