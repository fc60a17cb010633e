"""The autoscaler's rules, one by one, as its controller's source has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from darkroom.planner.simulation.hpa import Autoscaler
from darkroom.planner.simulation.settings import DEFAULT_DOWN, DEFAULT_UP, Behavior, Hpa, Policy, Rules


def autoscaler(hpa: Hpa, target: int = 1, minimum: int = 0, maximum: int = 100) -> Autoscaler:
    return Autoscaler(hpa, target, minimum, maximum)


def followed(hpa: Hpa, values: list[int], current: int = 1, **limits: int) -> list[int]:
    """What it decides, a sync after another, each time done at once."""
    found, made = autoscaler(hpa, **limits), []
    for index, value in enumerate(values):
        current = found.decide(15.0 * index, value, current, current)
        made.append(current)
    return made


WITH_DEFAULTS = Hpa(Behavior())


@pytest.mark.parametrize(
    ("hpa", "steps"),
    [(Hpa(), [4, 8, 16, 30]), (WITH_DEFAULTS, [5, 10, 20, 30])],
    ids=["no behavior", "a behavior that says nothing"],
)
def test_a_burst_is_followed_in_steps(hpa: Hpa, steps: list[int]) -> None:
    assert followed(hpa, [30] * 4) == steps


def test_pods_in_one_step() -> None:
    up = Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), DEFAULT_DOWN)
    assert followed(Hpa(up), [30]) == [30]


@pytest.mark.parametrize(("value", "wanted"), [(22, 20), (23, 23), (18, 20), (17, 17)])
def test_a_tenth_more_or_less_is_no_reason(value: int, wanted: int) -> None:
    hpa = Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), Rules(0.0, (Policy("Percent", 100, 15.0),))))
    assert followed(hpa, [value], current=20) == [wanted]


def test_the_tolerance_may_be_set_for_each_direction() -> None:
    up, down = replace(DEFAULT_UP, tolerance=0.0), replace(DEFAULT_DOWN, window=0.0, tolerance=0.5)
    hpa = Hpa(Behavior(up, down))
    assert followed(hpa, [21], current=20) == [21]
    assert followed(hpa, [11], current=20) == [20]
    assert followed(hpa, [9], current=20) == [9]


def test_the_ratio_is_to_pods_that_are_there_and_the_limit_to_those_asked_for() -> None:
    # Of 10 asked for, 6 are not told to stop: 6 messages are right for them, and the deployment goes down to 6.
    hpa = Hpa(Behavior(DEFAULT_UP, Rules(0.0, (Policy("Percent", 100, 15.0),))))
    assert autoscaler(hpa).decide(0.0, 6, 10, 6) == 6
    assert autoscaler(hpa).decide(0.0, 7, 10, 0) == 7


def test_a_schedule_is_a_metric_of_its_own_and_the_larger_count_counts() -> None:
    up = Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), Rules(60.0, (Policy("Percent", 100, 15.0),))))
    assert autoscaler(up, target=3).decide(0.0, 0, 1, 1, scheduled=4) == 4
    assert autoscaler(up, target=3).decide(0.0, 21, 1, 1, scheduled=4) == 7
    # Its own tolerance, and the window on the way down, hold for it too.
    assert autoscaler(up).decide(0.0, 0, 10, 10, scheduled=11) == 10
    found = autoscaler(up)
    assert found.decide(0.0, 0, 4, 4, scheduled=4) == 4
    assert [found.decide(at, 0, 4, 4) for at in (15.0, 45.0, 60.0)] == [4, 4, 1]


def test_messages_for_each_pod_round_up() -> None:
    assert autoscaler(Hpa(), target=4).decide(0.0, 9, 1, 1) == 3


def test_without_pods_it_is_disabled() -> None:
    assert autoscaler(Hpa()).decide(0.0, 50, 0, 0) == 0


def test_limits_come_before_the_metric() -> None:
    assert autoscaler(Hpa(), maximum=10).decide(0.0, 50, 40, 40) == 10
    # Below the fewest it goes there at once, whatever it may add in a step.
    assert autoscaler(Hpa(), minimum=30).decide(0.0, 0, 2, 2) == 30


def test_a_metric_that_cannot_be_read_changes_nothing() -> None:
    assert autoscaler(Hpa()).decide(0.0, None, 7, 7) == 7


def test_it_never_goes_to_none_by_itself() -> None:
    assert followed(replace(Hpa(), window=0.0), [0, 0]) == [1, 1]


def test_without_behavior_the_highest_of_five_minutes_stays() -> None:
    found = followed(Hpa(), [8, 8] + [1] * 24, current=8)
    # The last 8 was wanted at 15 s: at 315 s it is just not older than 300.
    assert found[: 315 // 15 + 1] == [8] * 22
    assert found[22:] == [1] * 4


def test_the_down_window_holds_and_then_forgets() -> None:
    down = Rules(60.0, (Policy("Percent", 100, 15.0),))
    found = followed(Hpa(Behavior(DEFAULT_UP, down)), [8] + [1] * 6, current=8)
    assert found == [8, 8, 8, 8, 1, 1, 1]


def test_an_up_window_takes_the_lowest_of_it() -> None:
    up = Rules(60.0, (Policy("Pods", 100, 15.0),))
    assert followed(Hpa(Behavior(up, DEFAULT_DOWN)), [2, 9, 9, 9, 9, 9]) == [2, 2, 2, 2, 9, 9]


@pytest.mark.parametrize(("select", "wanted"), [("Max", 20), ("Min", 14), ("Disabled", 10)])
def test_of_several_policies_the_chosen_one_limits_the_way_up(select: str, wanted: int) -> None:
    up = Rules(0.0, (Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)), select)  # type: ignore[arg-type]
    assert followed(Hpa(Behavior(up, DEFAULT_DOWN)), [50], current=10) == [wanted]


@pytest.mark.parametrize(("select", "wanted"), [("Max", 5), ("Min", 8), ("Disabled", 10)])
def test_and_the_way_down(select: str, wanted: int) -> None:
    down = Rules(0.0, (Policy("Pods", 2, 15.0), Policy("Percent", 50, 15.0)), select)  # type: ignore[arg-type]
    assert followed(Hpa(Behavior(DEFAULT_UP, down)), [1], current=10) == [wanted]


def test_per_cent_round_up_on_the_way_up_and_down_on_the_way_down() -> None:
    half = (Policy("Percent", 50, 15.0),)
    hpa = Hpa(Behavior(Rules(0.0, half), Rules(0.0, half)))
    assert followed(hpa, [50], current=5) == [8]
    assert followed(hpa, [1], current=5) == [2]


def test_a_period_counts_what_was_changed_within_it() -> None:
    up = Rules(0.0, (Policy("Pods", 4, 60.0),))
    # Four in each minute, from what there was at its beginning.
    assert followed(Hpa(Behavior(up, DEFAULT_DOWN)), [50] * 6) == [5, 5, 5, 5, 9, 9]
