"""Estimates of a task's place in the queue and of its start, held against queues that are simulated."""

from __future__ import annotations

import heapq
import statistics
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.policy.estimates import (
    RuntimeState,
    Standing,
    runtime_state,
    seconds_until_served,
    seconds_until_start,
    standing,
)
from darkroom.tasks.heartbeat import AgentState, Heartbeat

NOW = 1_800_000_000.0


def beat(**fields: object) -> Heartbeat:
    given = {"agent": "a", "runtime": "r", "seen_at": NOW, "state": AgentState.READY, **fields}
    return msgspec.convert(given, Heartbeat)


class Simulated:
    """A first-come queue before agents that take `service` seconds for a task: arrivals, and when each one began."""

    def __init__(self, arrivals: list[float], service: float, agents: int, chance: Random) -> None:
        free = [0.0] * agents
        self.arrivals = arrivals
        self.began = []
        for arrival in arrivals:
            start = max(arrival, heapq.heappop(free))
            self.began.append(start)
            heapq.heappush(free, start + service * chance.uniform(0.8, 1.2))
        self.service, self.agents = service, agents

    def state(self, now: float, told_at: float) -> RuntimeState:
        """What is known at `now`, where agents spoke last at `told_at`."""
        waiting = sum(arrival <= now < began for arrival, began in zip(self.arrivals, self.began, strict=True))
        heads = [arrival for arrival, began in zip(self.arrivals, self.began, strict=True) if began <= told_at]
        return RuntimeState(
            waiting=waiting,
            ready=self.agents,
            service_seconds=self.service,
            head_sent_at=max(heads, default=None),
        )


@pytest.mark.parametrize("agents", [1, 4])
@pytest.mark.parametrize("load", [1.3, 2.0])
def test_where_tasks_come_evenly_place_and_start_are_about_right(agents: int, load: float) -> None:
    chance = Random(5)
    service, arrivals, now = 4.0, [], 0.0
    while now < 900:
        now += chance.expovariate(load * agents / service)
        arrivals.append(now)
    queue = Simulated(arrivals, service, agents, chance)
    place_errors, start_errors = [], []
    for asked_at in range(300, 900, 75):
        state = queue.state(asked_at, asked_at - chance.uniform(0, 10))
        for arrival, began in zip(arrivals, queue.began, strict=True):
            if arrival <= asked_at < began and state.waiting and state.waiting >= 5:
                truly = sum(a <= asked_at < b and a < arrival for a, b in zip(arrivals, queue.began, strict=True))
                place = standing(state, arrival, asked_at)
                assert place is not None
                start = seconds_until_start(state, place.before)
                assert start is not None
                place_errors.append(abs(place.before - truly) / state.waiting)
                start_errors.append(abs(start - (began - asked_at)) / (state.waiting * service / agents))
    assert len(place_errors) > 100
    assert statistics.median(place_errors) < 0.1
    assert statistics.median(start_errors) < 0.15
    assert statistics.quantiles(place_errors, n=20)[-1] < 0.4


def test_of_a_burst_everybody_is_placed_within_the_queue_and_the_estimates_come_closer() -> None:
    chance = Random(6)
    arrivals = [100.0 + number * 0.001 for number in range(200)]
    queue = Simulated(arrivals, 2.0, 2, chance)
    for asked_at in (101.0, 150.0, 250.0):
        state = queue.state(asked_at, asked_at - 5)
        places = [standing(state, arrival, asked_at) for arrival in arrivals]
        known = [place.before for place in places if place is not None]
        assert known == sorted(known)
        assert all(0 <= place < max(1, state.waiting or 0) for place in known)


states = st.builds(
    RuntimeState,
    waiting=st.none() | st.integers(0, 10**6),
    in_flight=st.none() | st.integers(0, 10**6),
    ready=st.integers(0, 1000),
    idle=st.integers(0, 1000),
    service_seconds=st.none() | st.floats(0.001, 1e5),
    head_sent_at=st.none() | st.floats(0, 2e9),
)


@given(states, st.floats(0, 2e9), st.floats(0, 2e9))
def test_whatever_clocks_and_counts_say_no_place_is_beyond_the_queue(
    state: RuntimeState, sent_at: float, now: float
) -> None:
    place = standing(state, sent_at, now)
    assert (place is None) == (state.waiting is None or state.head_sent_at is None)
    if place is not None:
        assert 0 <= place.before <= max(0, (state.waiting or 0) + (state.in_flight or 0) - 1)
        assert place.is_fetched or state.waiting
        start = seconds_until_start(state, place.before)
        assert start is None or start >= 0


def test_without_agents_or_a_pace_nothing_is_promised() -> None:
    nobody = runtime_state([], 7, 0, NOW)
    assert (standing(nobody, NOW - 5, NOW), seconds_until_served(nobody)) == (None, None)
    new = runtime_state([beat()], 7, 0, NOW)
    assert seconds_until_served(new) is None


def test_an_agent_that_is_idle_begins_at_once() -> None:
    state = runtime_state([beat(service_seconds=3.0), beat(service_seconds=3.0, in_work=1)], 0, 1, NOW)
    assert seconds_until_served(state) == 0.0
    busy = runtime_state([beat(service_seconds=3.0, in_work=1)], 0, 1, NOW)
    assert seconds_until_served(busy) == 1.5


def test_agents_that_are_gone_or_unwell_do_not_count() -> None:
    beats = [
        beat(service_seconds=2.0, head_sent_at=NOW - 60, model="a"),
        beat(service_seconds=6.0, head_sent_at=NOW - 50, model="b"),
        beat(service_seconds=9.0, seen_at=NOW - 31, head_sent_at=NOW - 1),
        beat(service_seconds=9.0, state=AgentState.UNWELL),
        beat(service_seconds=9.0, state=AgentState.STOPPING),
    ]
    state = runtime_state(beats, 10, 2, NOW)
    assert (state.ready, state.head_sent_at, state.loaded) == (2, NOW - 50, ("a", "b"))
    # Two agents that do a task in 2 and one in 6 seconds do four in six: as two agents of three seconds.
    assert state.service_seconds == pytest.approx(3.0)


def test_what_agents_have_fetched_stands_in_no_queue_and_is_begun_before_what_does() -> None:
    # Two agents work, and hold two more tasks for when their devices are free; four wait in the queue.
    state = RuntimeState(waiting=4, in_flight=4, ready=2, idle=0, service_seconds=2.0, head_sent_at=NOW - 60)
    sent = [NOW - 60 + 10 * number for number in range(1, 7)]  # since the one that was begun last
    places = [standing(state, at - 1, NOW) for at in sent]
    assert places == [
        Standing(0, is_fetched=True),
        Standing(1, is_fetched=True),
        Standing(3),
        Standing(4),
        Standing(5),
        Standing(5),
    ]
    empty = msgspec.structs.replace(state, waiting=0)
    assert [standing(empty, at, NOW) for at in sent] == [Standing(0, is_fetched=True)] * 6
