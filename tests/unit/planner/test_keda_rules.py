"""KEDA's rules for none and some, one by one, as its source has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from darkroom.planner.simulation.keda import Activation
from darkroom.planner.simulation.settings import Keda

USUAL = Keda(cooldown=60.0)


def test_the_first_task_makes_one_pod_or_the_fewest() -> None:
    assert Activation(USUAL).decide(0.0, 9, 0) == 1
    assert Activation(replace(USUAL, minimum=3)).decide(0.0, 9, 0) == 3


def test_it_is_active_above_its_threshold_and_not_at_it() -> None:
    found = Activation(replace(USUAL, activation=2))
    assert found.decide(0.0, 2, 0) == 0
    assert found.decide(5.0, 3, 0) == 1


def test_between_some_and_most_it_leaves_them_to_the_autoscaler() -> None:
    assert Activation(USUAL).decide(0.0, 50, 7) == 7


@pytest.mark.parametrize(("looks_at", "wanted"), [(160.0, 8), (160.1, 0)])
def test_all_pods_go_in_one_step_once_the_cool_down_is_over(looks_at: float, wanted: int) -> None:
    found = Activation(USUAL)
    found.decide(100.0, 1, 8)
    assert found.decide(looks_at, 0, 8) == wanted


def test_when_it_was_active_is_kept_in_whole_seconds() -> None:
    found = Activation(USUAL)
    found.decide(100.9, 1, 8)
    assert found.decide(160.5, 0, 8) == 0


def test_pods_that_were_never_needed_go_at_the_first_look() -> None:
    assert Activation(USUAL).decide(0.0, 0, 1) == 0


def test_with_a_minimum_there_is_never_less() -> None:
    found = Activation(replace(USUAL, minimum=2))
    assert found.decide(0.0, 0, 0) == 2
    assert found.decide(500.0, 0, 5) == 5, "the autoscaler takes them"


def test_an_idle_count_below_the_minimum() -> None:
    found = Activation(replace(USUAL, minimum=3, idle=1))
    assert found.decide(0.0, 4, 1) == 3
    assert found.decide(30.0, 0, 3) == 3
    assert found.decide(61.0, 0, 3) == 1


def test_a_queue_that_is_silent_changes_nothing() -> None:
    found = Activation(USUAL)
    found.decide(0.0, 3, 1)
    assert found.decide(500.0, None, 4) == 4


def test_a_schedule_is_a_trigger_that_makes_the_first_pod_and_keeps_them_until_they_cool_down() -> None:
    """KEDA's cron trigger: active is active, and how many there are is the autoscaler's."""
    found = Activation(USUAL)
    assert found.decide(0.0, 0, 0, scheduled=2) == 1
    assert found.decide(3600.0, 0, 2, scheduled=2) == 2
    assert found.decide(3605.0, 0, 2) == 2
    assert found.decide(3661.0, 0, 2) == 0
    assert Activation(USUAL).decide(0.0, None, 0, scheduled=2) == 1, "the queue's fault is not the schedule's"
