"""How many tasks one pod is to work off, and what a burst of tasks then costs.

The times are those that were seen on real controllers (docs/scaling.md); how long a node and its runtime need to be
ready differs from image to image, so callers say it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# From tasks in an empty queue to pods asked for: KEDA's look at the queue, and the autoscaler's.
SECONDS_TO_ASK = 6.0
# How long an empty node stays beyond what is configured: Karpenter's loop, its second look, and its drain.
SECONDS_TO_LEAVE = 30.0


def queue_length(within_seconds: float, task_seconds: float) -> int:
    """How many tasks of `task_seconds` one pod does within `within_seconds`, at least 1."""
    return max(1, math.floor(within_seconds / task_seconds))


@dataclass(frozen=True)
class Warmth:
    """In seconds: from a pod asked for to its first task; pods without tasks stay; nodes without pods stay."""

    start: float
    pods_stay: float
    nodes_stay: float


@dataclass(frozen=True)
class Burst:
    """What becomes of tasks that arrive at once, in seconds from their arrival. One pod has one node, with one GPU."""

    pods: int
    last_begins: float
    last_ends: float
    node_seconds: float


def burst(tasks: int, task_seconds: float, length: int, most_pods: int, warmth: Warmth) -> Burst:
    """What `tasks` of `task_seconds` each cost from cold, with `length` tasks for each pod and at most `most_pods`."""
    pods = min(most_pods, math.ceil(tasks / length))
    rounds = math.ceil(tasks / pods)
    ready = SECONDS_TO_ASK + warmth.start
    idle = warmth.pods_stay + warmth.nodes_stay + SECONDS_TO_LEAVE
    # All nodes stay until the last of them may go: what was wanted is remembered for as long as pods stay warm.
    paid = pods * (warmth.start + rounds * task_seconds + idle)
    return Burst(pods, ready + (rounds - 1) * task_seconds, ready + rounds * task_seconds, paid)
