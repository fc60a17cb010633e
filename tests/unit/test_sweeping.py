"""When the dead letters are looked through."""

from __future__ import annotations

import pytest

from darkroom.policy.sweeping import LONGEST_PAUSE_SECONDS, Looked, after_look, hidden_seconds, is_due


def test_no_letters_are_not_looked_through() -> None:
    assert not is_due(Looked(), 0, 100.0)


def test_letters_are_looked_through_when_there_are_more_or_fewer_of_them() -> None:
    last = after_look(Looked(), 3, 0, 100.0, 60.0)
    assert [is_due(last, count, 101.0) for count in (2, 3, 4)] == [True, False, True]


def test_the_same_letters_are_looked_through_less_and_less_often() -> None:
    last, now, pauses = Looked(), 0.0, []
    for _ in range(9):
        assert is_due(last, 3, now)
        last = after_look(last, 3, 0, now, 60.0)
        assert not is_due(last, 3, last.until - 1)
        pauses.append(last.until - now)
        now = last.until
    assert pauses[:4] == [60.0, 120.0, 240.0, 480.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_where_one_was_found_there_may_be_more() -> None:
    last = Looked(count=3, until=500.0, pause_seconds=480.0)
    assert after_look(last, 3, 1, 500.0, 60.0).pause_seconds == 60.0


@pytest.mark.parametrize("count", [1, 100, 10_000, 100_000, 10_000_000])
def test_a_letter_stays_hidden_until_the_last_one_was_seen(count: int) -> None:
    """Amazon SQS takes 43,200 seconds at most, and some 3 ms for each letter that it hands out."""
    assert min(43_200, 60 + count * 0.003) <= hidden_seconds(count) + 60
    assert 60 <= hidden_seconds(count) <= 43_200


def test_a_great_many_letters_are_not_looked_through_all_the_time() -> None:
    last = after_look(Looked(), 10_000, 0, 100.0, 60.0)
    assert not is_due(last, 10_001, 100.0 + 499)
    assert is_due(last, 10_001, 100.0 + 501)
    assert is_due(after_look(Looked(), 3, 0, 100.0, 60.0), 4, 101.0)
