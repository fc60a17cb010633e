"""Which of two queues is asked: normal tasks first, low ones within their bound, and neither kept away by the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from darkroom.policy.queue_turns import SURE_WAIT_SECONDS, Poll, Turns

BOUND = 100.0


def asked(turns: Turns, now: float, missing: int = 1, missing_low: int = 1) -> Poll:
    return turns.next(now, missing=missing, missing_low=missing_low, wait_seconds=20)


@dataclass
class Worked:
    """What one agent does, which asks for a task whenever it has none; each takes `seconds`."""

    normal: list[float]
    low: list[float]
    seconds: float = 1.0
    now: float = 0.0
    done: list[tuple[str, float, float]] = field(default_factory=list)  # which, when it was sent, when it was begun

    def until(self, end: float) -> Worked:
        turns = Turns.begin(BOUND, self.now)
        while self.now < end:
            poll = asked(turns, self.now)
            queue = self.low if poll.low else self.normal
            asked_at = self.now
            here = [sent for sent in queue if sent <= self.now + poll.wait_seconds]
            if here:
                queue.remove(here[0])
                self.now = max(self.now, here[0])
                self.done.append(("low" if poll.low else "normal", here[0], self.now))
                self.now += self.seconds
            else:
                self.now += poll.wait_seconds
            turns = turns.after(poll, asked_at, here[0] if here else None, self.now)
        return self


def test_low_tasks_are_begun_after_every_normal_one_that_waits() -> None:
    worked = Worked(normal=[0.0] * 5, low=[0.0] * 5).until(60)
    assert [which for which, _, _ in worked.done] == ["normal"] * 5 + ["low"] * 5


def test_a_normal_task_goes_before_low_ones_that_wait_longer() -> None:
    worked = Worked(normal=[0.0, 23.5], low=[0.0] * 8).until(90)
    (began,) = (at for which, sent, at in worked.done if sent == 23.5)
    assert began - 23.5 <= worked.seconds + SURE_WAIT_SECONDS
    assert worked.done[-1][0] == "low"


def test_low_tasks_are_begun_within_the_bound_while_normal_ones_keep_coming() -> None:
    worked = Worked(normal=[0.0] * 1000, low=[0.0] * 5).until(200)
    began = [at for which, _, at in worked.done if which == "low"]
    assert len(began) == 5
    assert min(began) >= BOUND, "before, normal ones waited"
    assert max(began) <= BOUND + 2 * 5 * worked.seconds + SURE_WAIT_SECONDS


def test_what_is_overdue_takes_every_second_turn_and_no_more() -> None:
    worked = Worked(normal=[0.0] * 1000, low=[0.0] * 1000).until(300)
    late = [which for which, _, at in worked.done if at >= BOUND]
    assert abs(late.count("low") - late.count("normal")) <= 1
    assert all(one != other for one, other in pairwise(late))


def test_a_low_task_that_comes_to_an_idle_agent_waits_for_one_poll_and_no_more() -> None:
    turns = Turns.begin(BOUND, 0)
    normal = asked(turns, 0)
    assert (normal.low, normal.wait_seconds) == (False, 20)
    turns = turns.after(normal, 0, None, 20)
    low = asked(turns, 20)
    assert (low.low, low.wait_seconds) == (True, 0), "in passing: a normal task may come meanwhile"
    turns = turns.after(low, 20, 12.0, 20)
    normal = asked(turns, 20)
    assert (normal.low, normal.wait_seconds) == (False, SURE_WAIT_SECONDS), "more low ones may wait"


def test_a_glance_at_the_low_queue_does_not_put_off_when_it_is_surely_looked_at() -> None:
    turns = Turns.begin(BOUND, 0)
    turns = turns.after(asked(turns, 0), 0, None, 20)
    turns = turns.after(asked(turns, 20), 20, None, 20)
    assert turns.due_at == BOUND
    turns = turns.after(asked(turns, 20), 20, 20.0, 21)
    late = asked(turns, BOUND)
    assert (late.low, late.wait_seconds, late.maximum) == (True, SURE_WAIT_SECONDS, 1)
    assert turns.after(late, BOUND, None, BOUND + 1).due_at == 2 * BOUND


def test_a_queue_that_cannot_be_asked_does_not_keep_the_other_waiting() -> None:
    turns = Turns.begin(0.0, 0)  # a bound of nothing: always due
    polls = []
    for now in range(6):
        polls.append(asked(turns, now))
        turns = turns.after(polls[-1], now, None, now)
    assert {poll.low for poll in polls} == {True, False}
    assert all(one.low != other.low for one, other in pairwise(polls))


def test_low_tasks_are_not_hoarded() -> None:
    turns = Turns.begin(BOUND, 0)
    assert asked(turns, 0, missing=10, missing_low=2).maximum == 10
    turns = turns.after(asked(turns, 0), 0, None, 1)
    assert asked(turns, 1, missing=10, missing_low=2).maximum == 2


@given(
    normal=st.lists(st.floats(0, 400), max_size=60),
    low=st.lists(st.floats(0, 400), max_size=20),
    seconds=st.floats(0.5, 30),
)
def test_whatever_comes_everything_is_done(normal: list[float], low: list[float], seconds: float) -> None:
    worked = Worked(sorted(normal), sorted(low), seconds).until(60 * 80 + 1000)
    assert len(worked.done) == len(normal) + len(low)
    assert sorted(sent for which, sent, _ in worked.done if which == "low") == sorted(low)
