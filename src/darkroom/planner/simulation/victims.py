"""Which pods a ReplicaSet takes when there are to be fewer of them.

Read at kubernetes/kubernetes, pkg/controller/controller_utils.go (ActivePodsWithRanks): pods without a node first, then
those that start, then those that are ready; of these the ones that are ready for less long. Ages compare by their
logarithm, and of equal ones nobody knows which is taken. Whether a pod works is not looked at.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from darkroom.planner.simulation.parts import Phase, Pod


def victims(pods: Iterable[Pod], count: int, now: float, chance: random.Random) -> list[Pod]:
    """The first `count` to go."""
    return sorted(pods, key=lambda pod: _rank(pod, now, chance.random()))[:count]


def _rank(pod: Pod, now: float, toss: float) -> tuple[int, int, int, float]:
    if pod.phase is Phase.PENDING:
        return 0, 0, _age(now, pod.born), toss
    if pod.phase is Phase.STARTING:
        return 1, 0, _age(now, pod.born), toss
    return 2, _age(now, pod.ready_at), _age(now, pod.born), toss


def _age(now: float, since: float) -> int:
    return math.floor(math.log2(max(1.0, (now - since) * 1e9)))
