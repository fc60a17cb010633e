"""Who goes next on a device that switches models, and when the next message is asked for."""

from __future__ import annotations

from darkroom.agent.pace import Pace
from darkroom.policy.turn_order import MOST_OVERTAKES, Candidate, next_turn


def switches(models: list[str], window: int) -> tuple[int, int]:
    """Work off `models` with a window of that many tasks; return the switches, and the most that any was overtaken."""
    waiting: list[Candidate] = []
    rest, loaded, count, most = list(models), models[0], 0, 0
    while rest or waiting:
        while rest and len(waiting) < window:
            waiting.append(Candidate(rest.pop(0), 0))
        index = next_turn(waiting, loaded)
        waiting[:index] = [Candidate(task.model, task.overtaken + 1) for task in waiting[:index]]
        chosen = waiting.pop(index)
        most = max(most, chosen.overtaken)
        if chosen.model is not None and chosen.model != loaded:
            loaded, count = chosen.model, count + 1
    return count, most


def test_forty_alternating_tasks_need_few_switches_and_nobody_is_overtaken_too_often() -> None:
    count, most = switches(["one", "two"] * 20, window=10)
    assert count <= 10
    assert most <= MOST_OVERTAKES
    assert switches(["one", "two"] * 20, window=1) == (39, 0)


def test_a_rare_model_is_not_put_off_without_end() -> None:
    _, most = switches(["one", "rare", *["one"] * 100], window=10)
    assert most == MOST_OVERTAKES


def test_in_order_of_arrival_where_no_model_matters() -> None:
    assert next_turn([Candidate(None, 0), Candidate(None, 0)], None) == 0
    assert next_turn([Candidate("two", 0), Candidate("two", 0)], "one") == 0
    assert next_turn([Candidate("two", 0), Candidate(None, 0)], "one") == 1


def test_nothing_is_fetched_ahead_before_it_is_known_how_long_a_task_takes() -> None:
    pace = Pace()
    assert pace.seconds_until_fetch(0.0) is None
    pace.observe_run(5.0)
    pace.observe_asking(0.04)
    pace.observe_preparing(0.01)
    lead = pace.lead_seconds
    assert 0.05 < lead < 0.2
    assert pace.seconds_until_fetch(0.0) == 5.0 - lead
    assert pace.seconds_until_fetch(5.0) == 0.0


def test_a_task_that_takes_much_longer_than_expected_is_waited_for_by_nobody() -> None:
    pace = Pace()
    pace.observe_run(1.0)
    assert pace.is_overdue(60.0)
    assert pace.seconds_until_fetch(60.0) is None
    pace.progress_reported(elapsed_seconds=60.0, remaining_seconds=30.0)
    assert pace.remaining_seconds(60.0) == 30.0
    pace.run_ended()
    assert pace.remaining_seconds(0.0) == 1.0


def test_polls_that_waited_for_a_message_hardly_count() -> None:
    pace = Pace()
    pace.observe_preparing(0.0)
    for seconds in (0.04, 1.0, 20.0, 0.04):
        pace.observe_asking(seconds)
    assert pace.lead_seconds < 0.2


def test_short_tasks_are_held_in_larger_numbers() -> None:
    pace = Pace()
    assert pace.wanted_waiting == 1
    pace.observe_run(0.02)
    pace.observe_asking(0.04)
    pace.observe_preparing(0.01)
    assert 3 <= pace.wanted_waiting <= 10
