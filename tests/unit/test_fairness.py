"""Whose share of the queue a task takes, and that the agent's own order does not undo what SQS's fair queues do."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.api.keys import ApiKeys
from darkroom.policy.fairness import LONGEST_GROUP, group_of
from darkroom.policy.turn_order import MOST_OVERTAKES, Candidate, next_turn


@pytest.mark.parametrize("caller", ["a1b2c3d4e5", "test-invoke-api-key-id", "x" * 128, "a/b:c"])
def test_an_id_that_aws_takes_is_the_group(caller: str) -> None:
    assert group_of(caller) == caller


@pytest.mark.parametrize("caller", [None, ""])
def test_nobody_has_no_group(caller: str | None) -> None:
    assert group_of(caller) is None


@given(st.text(min_size=1, max_size=200))
def test_every_group_is_one_that_aws_takes(caller: str) -> None:
    group = group_of(caller)
    assert group is not None
    assert 1 <= len(group) <= LONGEST_GROUP
    assert set(group) <= set(string.ascii_letters + string.digits + string.punctuation)


def test_two_callers_whose_ids_aws_does_not_take_stay_two() -> None:
    assert len({group_of("x" * 128 + "a"), group_of("x" * 128 + "b"), group_of("ä"), group_of("a b")}) == 4


def test_a_key_of_the_gateway_cannot_be_read_from_its_group() -> None:
    keys = ApiKeys(["first-key", "second-key"])
    groups = [group_of(keys.find(key)) for key in ("first-key", "second-key")]
    assert groups == [group_of(ApiKeys(["second-key", key]).find(key)) for key in ("first-key", "second-key")]
    assert len({*groups, None}) == 3
    assert not any("key" in str(group) for group in groups)


def test_a_quiet_callers_task_waits_for_a_window_of_others_and_eight_more_at_most() -> None:
    """The worst: a full window of a flood for the loaded model is held when it comes, and the flood does not end."""
    window = 10
    waiting = [("flood", Candidate("one", 0))] * (window - 1) + [("quiet", Candidate("two", 0))]
    turns = 0
    while True:
        index = next_turn([task for _, task in waiting], "one")
        waiting[:index] = [(who, Candidate(task.model, task.overtaken + 1)) for who, task in waiting[:index]]
        who, _ = waiting.pop(index)
        if who == "quiet":
            break
        turns += 1
        waiting.append(("flood", Candidate("one", 0)))
    assert turns == window - 1 + MOST_OVERTAKES
