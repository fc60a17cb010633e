"""When the dead letters are looked through."""

from __future__ import annotations

from darkroom.policy.sweeping import LONGEST_PAUSE_SECONDS, Looked, after_look, is_due


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
    last = Looked(3, 500.0, 480.0)
    assert after_look(last, 3, 1, 500.0, 60.0).pause_seconds == 60.0
