"""A second queue for tasks of low priority, as agents, KEDA and the autoscaler treat it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice, repeat
from random import Random
from statistics import fmean

import pytest
from tests.unit.planner.test_engine import USUAL
from tests.unit.planner.test_queueing import erlang_c, fixed, later

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Agent, Settings, Spot
from darkroom.planner.simulation.streams import Duration, poisson

ONE = replace(fixed(1), agent=Agent(latency=0.0, poll=1.0))


def run(settings: Settings, tasks: list[tuple[float, bool]], seconds: float = 6.0, until: float = 7200.0) -> Outcome:
    work = Work(iter([at for at, _ in tasks]), repeat(seconds), low=iter([low for _, low in tasks]))
    return simulate(work, settings, until=until)


@pytest.mark.parametrize(("pods", "load", "low"), [(1, 0.7, 0.5), (4, 0.8, 0.3)])
def test_two_priorities_wait_as_in_a_queue_without_preemption(pods: int, load: float, low: float) -> None:
    """M/M/c with two classes of equal services (Cobham): W0/(1-r1) and W0/((1-r1)(1-r)), W0 = C/(c mu)."""
    settings = replace(fixed(pods), agent=Agent(latency=0.0, poll=0.0, low_bound=math.inf))
    found = []
    for seed in range(6):
        toss = Random(seed + 500)
        work = Work(
            islice(later(poisson(load * pods, Random(seed))), 120_000),
            Duration("exponential", 1.0).stream(Random(seed + 99)),
            low=(toss.random() < low for _ in repeat(None)),
        )
        found.append(simulate(work, settings, seed))
    w0, normal = erlang_c(pods, load * pods) / pods, load * (1 - low)
    assert fmean(one.waits.mean for one in found) == pytest.approx(w0 / (1 - normal), rel=0.02)
    assert fmean(one.low_waits.mean for one in found) == pytest.approx(w0 / (1 - normal) / (1 - load), rel=0.02)


def test_a_normal_task_goes_before_low_ones_that_came_earlier() -> None:
    found = run(ONE, [(1.0, False), (2.0, True), (3.0, True), (4.0, False)])
    # It ends at 7, then the normal one of 4 s, and then the low ones.
    assert found.waits.most == pytest.approx(3.0)
    assert found.low_waits.total == pytest.approx((13.0 - 2.0) + (19.0 - 3.0))
    assert (found.waits.count, found.low_waits.count, found.tasks) == (2, 2, 4)


def test_what_is_overdue_takes_every_second_turn() -> None:
    """Normal tasks without end and three low ones: none begins before the bound, and then one after each normal one."""
    eager = replace(ONE, agent=replace(ONE.agent, low_bound=60.0))
    normal = [(1.0 + 5 * index, False) for index in range(200)]
    tasks = sorted([*normal, (2.0, True), (2.1, True), (2.2, True)])
    found = run(eager, tasks, until=600.0)
    waits = found.low_waits
    assert waits.count == 3
    # It began at 0, so at 61 s it asks the low queue, and what it gets, of 2.0 s, says that the next one is not overdue
    # before 62. At 67 that one is, and those behind it are, too; so a normal one comes between it and the last.
    assert waits.total == pytest.approx((61.0 - 2.0) + (67.0 - 2.1) + (79.0 - 2.2))
    never = run(replace(ONE, agent=replace(ONE.agent, low_bound=math.inf)), tasks, until=600.0)
    assert never.low_waits.count == 0


def test_a_low_task_that_comes_to_an_idle_agent_waits_for_its_poll() -> None:
    found = run(ONE, [(10.25, True)])
    assert found.low_waits.total == pytest.approx(0.75, abs=1e-6)
    assert run(ONE, [(10.25, False)]).waits.total == pytest.approx(0.0, abs=1e-6)


def test_the_autoscaler_takes_the_larger_count_and_not_the_sum() -> None:
    found = run(USUAL, [(0.0, False)] * 6 + [(0.0, True)] * 4)
    assert found.replicas.most == 6
    assert run(USUAL, [(0.0, False)] * 4 + [(0.0, True)] * 6).replicas.most == 6


def test_a_low_task_alone_wakes_the_first_pod_and_all_go_when_both_queues_are_empty() -> None:
    found = run(USUAL, [(0.0, True), (60.0, False), (90.0, True)])
    # The last one ends at 97, and KEDA has seen it at 92.
    assert found.replicas.changes == [(0.0, 0), (2.0, 1), (157.0, 0)]
    assert found.tasks == 3


def test_a_low_task_that_is_given_back_goes_back_to_its_queue() -> None:
    gone = replace(USUAL, spot=Spot(share=1.0, hazard=40.0, notice=60.0, usable=1.0))
    found = run(gone, [(0.0, True), (0.0, False)], seconds=50.0, until=6000.0)
    assert found.given_back > 0
    assert found.tasks == 2
    assert (found.low_waits.count, found.waits.count) == (1, 1)


def test_no_low_task_changes_nothing() -> None:
    def arrivals() -> list[float]:
        return list(poisson(0.02, Random(8), 30_000.0))

    plain = simulate(Work(iter(arrivals()), repeat(8.0)), USUAL, until=40_000.0)
    second = simulate(Work(iter(arrivals()), repeat(8.0), low=repeat(False)), USUAL, until=40_000.0)
    assert [count for _, count in second.replicas.changes] == [count for _, count in plain.replicas.changes]
    for (at, _), (other, _) in zip(second.replicas.changes, plain.replicas.changes, strict=True):
        assert at == pytest.approx(other)
    assert second.waits.total == pytest.approx(plain.waits.total)
    assert second.node_seconds == pytest.approx(plain.node_seconds)
