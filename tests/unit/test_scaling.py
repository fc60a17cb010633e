"""What a burst of tasks costs, beside what was seen on real controllers."""

from __future__ import annotations

import pytest

from darkroom.policy.scaling import Burst, Warmth, burst, queue_length

# There, an instance took 30 s and an agent 7 more.
SEEN = Warmth(start=37.0, pods_stay=60.0, nodes_stay=10.0)


@pytest.mark.parametrize(
    ("within", "task", "length"), [(60, 6, 10), (60, 7, 8), (5, 6, 1), (300, 1.5, 200), (12, 6, 2), (6, 6, 1)]
)
def test_a_pod_gets_what_it_does_within_the_time(within: float, task: float, length: int) -> None:
    assert queue_length(within, task) == length
    assert length == 1 or length * task <= within


def test_eight_tasks_of_six_seconds() -> None:
    """Seen with all pods in one step: the last one ends at 50 s. 1,300 node-seconds are allowed, 900 with 10 s warm."""
    found = burst(8, 6.0, 1, 20, SEEN)
    assert found.pods == 8
    assert found.last_ends == pytest.approx(50.0, abs=3.0)
    assert found.last_begins <= 45.0
    assert found.node_seconds <= 1300
    assert burst(8, 6.0, 1, 20, Warmth(37.0, 10.0, 10.0)).node_seconds <= 900


def test_four_tasks_for_each_pod() -> None:
    """Seen: 2 nodes, the last task ends at 65 s."""
    found = burst(8, 6.0, 4, 20, SEEN)
    assert found.pods == 2
    assert found.last_ends == pytest.approx(65.0, abs=3.0)


def test_no_more_pods_than_are_allowed() -> None:
    assert burst(20, 10.0, 1, 5, SEEN) == Burst(5, 43.0 + 30.0, 43.0 + 40.0, 5 * (37.0 + 40.0 + 100.0))
