"""The same few tasks under other settings: what each rule of the controllers says, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import repeat

import pytest
from tests.unit.planner.test_engine import USUAL

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Behavior, Hpa, Policy, Rules, Settings

# A second of batch, the launch, 20 s of boot, 10 for the pod, and the message.
START = 1.0 + 0.35 + 20.0 + 10.0 + 0.04
KEDA_FIRST, HPA_FIRST, SYNC = 2.0, 6.0, 15.02


def run(arrivals: list[float], settings: Settings, seconds: float = 6.0) -> Outcome:
    return simulate(Work(iter(arrivals), repeat(seconds)), settings, until=7200.0)


def look_from(moment: float, first: float, period: float) -> float:
    """The first look that is not before the moment."""
    return first + max(0, math.ceil((moment - first) / period)) * period


@pytest.mark.parametrize("arrives", [0.0, 1.9, 2.0, 2.1, 7.0, 16.9, 17.0, 31.9, 61.0])
@pytest.mark.parametrize("polling", [2.0, 5.0, 15.0, 30.0])
def test_the_first_task_waits_for_kedas_next_look_and_a_start(polling: float, arrives: float) -> None:
    settings = replace(USUAL, keda=replace(USUAL.keda, polling=polling))
    found = run([arrives], settings)
    look = look_from(arrives, KEDA_FIRST, polling)
    assert found.replicas.changes[1] == (look, 1)
    assert found.waits.most == pytest.approx(look - arrives + START)


@pytest.mark.parametrize("cooldown", [10.0, 60.0, 300.0])
@pytest.mark.parametrize("polling", [2.0, 5.0, 15.0, 30.0])
def test_pods_go_at_the_first_look_after_the_cool_down_since_the_last_one_that_saw_a_task(
    polling: float, cooldown: float
) -> None:
    settings = replace(USUAL, keda=replace(USUAL.keda, polling=polling, cooldown=cooldown))
    found = run([0.0], settings)
    end = 2.0 + START + 6.0
    seen = KEDA_FIRST + math.floor((end - KEDA_FIRST) / polling) * polling
    goes = seen + polling
    while not math.floor(seen) + cooldown < goes:
        goes += polling
    assert found.replicas.changes[-1] == (goes, 0)


@pytest.mark.parametrize("most", [1, 3, 7, 12, 20])
def test_there_are_never_more_pods_than_may_be_and_the_others_tasks_come_after(most: int) -> None:
    found = run([0.0] * 12, replace(USUAL, keda=replace(USUAL.keda, maximum=most)))
    pods = min(most, 12)
    assert found.replicas.most == found.claims.most == pods
    assert found.tasks == 12
    first, others = KEDA_FIRST + START, HPA_FIRST + START
    # When each pod is free, the next task begins.
    free = sorted([first, *[others] * (pods - 1)])
    begins = []
    for _ in range(12):
        begins.append(free[0])
        free = sorted([*free[1:], free[0] + 6.0])
    assert found.waits.most == pytest.approx(max(begins), abs=0.1)


@pytest.mark.parametrize(("length", "pods"), [(1, 12), (3, 4), (5, 3), (10, 2), (12, 1), (30, 1)])
def test_one_pod_for_each_so_many_tasks(length: int, pods: int) -> None:
    found = run([0.0] * 12, replace(USUAL, keda=replace(USUAL.keda, queue_length=length)))
    assert found.replicas.changes[1] == (KEDA_FIRST, 1)
    if pods > 1:
        assert found.replicas.changes[2] == (HPA_FIRST, pods)
    assert found.replicas.most == pods


@pytest.mark.parametrize("comes", [6.1, 20.0, 21.0, 21.1, 35.0])
def test_tasks_that_come_later_wait_for_the_autoscalers_next_look(comes: float) -> None:
    # One long task keeps one pod busy; then five more come.
    found = simulate(Work(iter([0.0, *[comes] * 5]), repeat(200.0)), USUAL, until=3600.0)
    look = look_from(comes, HPA_FIRST, SYNC)
    grown = next((at, count) for at, count in found.replicas.changes if count > 1)
    assert grown == (pytest.approx(look), 6)


@pytest.mark.parametrize("gpus", [1, 2, 3, 4, 8])
def test_nodes_are_as_many_as_hold_the_pods(gpus: int) -> None:
    found = run([0.0] * 8, replace(USUAL, karpenter=replace(USUAL.karpenter, gpus=gpus)))
    # The first pod's node has room for others; the seven that come next fill it, and need more for the rest.
    rest = max(0, 7 - (gpus - 1))
    assert found.nodes_launched == 1 + math.ceil(rest / gpus)
    assert found.tasks == 8


@pytest.mark.parametrize(("limit", "gpus", "nodes"), [(1, 1, 1), (3, 1, 3), (3, 2, 1), (4, 2, 2), (100, 1, 8)])
def test_a_pools_limit_is_one_of_gpus(limit: int, gpus: int, nodes: int) -> None:
    karpenter = replace(USUAL.karpenter, gpus=gpus, limit=limit)
    found = run([0.0] * 8, replace(USUAL, karpenter=karpenter))
    assert found.claims.most == nodes
    assert found.tasks == 8


@pytest.mark.parametrize(
    ("hpa", "steps"),
    [
        (Hpa(), [1, 4, 8, 12]),
        (Hpa(Behavior()), [1, 5, 10, 12]),
        (Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)))), [1, 12]),
        (
            Hpa(Behavior(Rules(0.0, (Policy("Pods", 2, 30.0),)))),
            [1, 3, 5, 7, 9, 11],
        ),  # 12 for 11 is within the tolerance
        # The first recommendation of this autoscaler is what an up window may not go above.
        (Hpa(Behavior(Rules(40.0, (Policy("Pods", 100, 15.0),)))), [1, 12]),
    ],
    ids=["none", "its defaults", "one step", "two in half a minute", "an up window"],
)
def test_each_behavior_goes_up_by_its_own_steps(hpa: Hpa, steps: list[int]) -> None:
    found = simulate(Work(iter([0.0] * 12), repeat(300.0)), replace(USUAL, hpa=hpa), until=250.0)
    assert [count for _, count in found.replicas.changes[1:]] == steps


@pytest.mark.parametrize("after", [0.0, 10.0, 30.0, 300.0])
def test_an_empty_node_stays_for_as_long_as_it_may_and_until_the_loop_has_looked_twice(after: float) -> None:
    found = run([0.0], replace(USUAL, karpenter=replace(USUAL.karpenter, consolidate_after=after)))
    told = found.replicas.changes[-1][0]
    gone = found.claims.changes[-1][0]
    # The loop looks at whole tens here, waits 15 s, looks again, and 10 s pass until the claim is gone.
    assert gone == pytest.approx(look_from(told + after, 0.0, 10.0) + 15.0 + 10.0, abs=0.01)


def test_a_task_that_no_look_has_seen_does_not_keep_pods_warm() -> None:
    """A look each half minute, and a task of 6 s between two: for KEDA there was none."""
    settings = replace(USUAL, keda=replace(USUAL.keda, polling=30.0, cooldown=60.0))
    found = run([0.0, 65.0], settings)
    # It looks at 2, 32, 62: the first task ends at 39.4 s, and the second is done between 62 and 92.
    assert found.tasks == 2
    assert found.replicas.changes == [(0.0, 0), (2.0, 1), (122.0, 0)]
