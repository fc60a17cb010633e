"""Which pods a ReplicaSet takes: not the idle ones, but those that came last."""

from __future__ import annotations

import random

from darkroom.planner.simulation.parts import Phase, Pod
from darkroom.planner.simulation.victims import victims


def pod(phase: Phase, ready_at: float = 0.0, born: float = 0.0) -> Pod:
    found = Pod(born)
    found.phase = phase
    found.ready_at = ready_at
    return found


def test_those_without_a_node_go_first_then_those_that_start_then_the_ready_ones() -> None:
    ready, starting, pending = pod(Phase.IDLE), pod(Phase.STARTING), pod(Phase.PENDING)
    assert victims([ready, starting, pending], 3, 100.0, random.Random(1)) == [pending, starting, ready]


def test_of_ready_ones_the_later_ones_go_even_if_they_work() -> None:
    idle, busy = pod(Phase.IDLE, ready_at=10.0), pod(Phase.BUSY, ready_at=900.0)
    assert victims([idle, busy], 1, 1000.0, random.Random(1)) == [busy]


def test_of_those_about_as_old_nobody_knows_which() -> None:
    pods = [pod(Phase.IDLE, ready_at=float(at)) for at in range(100, 104)]
    first = {pods.index(victims(pods, 1, 1000.0, random.Random(seed))[0]) for seed in range(60)}
    assert first == {0, 1, 2, 3}
