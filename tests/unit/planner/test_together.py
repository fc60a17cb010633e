"""Several runtimes on one pool of nodes: what each sees of the others, rule by rule, and where it is known exactly."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from random import Random
from statistics import fmean

import pytest
from tests.unit.planner.test_engine import USUAL
from tests.unit.planner.test_queueing import erlang_c, fixed, later

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.settings import Budget, Karpenter, Keda, Settings, Spot
from darkroom.planner.simulation.streams import Duration, poisson
from darkroom.planner.simulation.together import Together, simulate_together

IMAGE = 15.0
# An image takes a while, so that it is seen whether a node has it.
PULLING = replace(USUAL, nodes=replace(USUAL.nodes, image=IMAGE))
START = 1.0 + 0.35 + 20.0 + 10.0 + 0.04


def together(settings: Settings, until: float = 3600.0, **arrivals: list[float]) -> Together:
    members = {name: (Work(iter(moments), repeat(6.0)), settings) for name, moments in arrivals.items()}
    return simulate_together(members, seed=1, until=until)


def longest(found: Together, name: str) -> float:
    return found.each[name].waits.most


def test_one_runtime_in_a_pool_is_one_with_nodes_of_its_own() -> None:
    rough = replace(PULLING, spot=Spot(share=1.0, hazard=2.0, no_capacity=0.1))

    def work() -> Work:
        return Work(poisson(0.05, Random(3), 20_000.0), Duration("exponential", 8.0).stream(Random(4)))

    found = simulate_together({"a": (work(), rough)}, seed=5, until=20_000.0)
    alone = simulate(work(), rough, seed=5, until=20_000.0)
    assert found.each["a"].replicas.changes == alone.replicas.changes
    assert found.nodes.claims.changes == alone.claims.changes
    assert found.each["a"].waits.total == alone.waits.total
    assert (found.nodes.billed_seconds, found.nodes.interruptions) == (alone.billed_seconds, alone.interruptions)
    assert found.nodes.free_seconds == alone.free_seconds


def test_a_node_that_anothers_pod_has_left_is_taken_but_has_not_ones_own_images() -> None:
    kept = replace(PULLING, karpenter=Karpenter(consolidate_after=600.0, budgets=(Budget(1.0),)))
    found = together(kept, a=[0.0], b=[300.0])
    assert found.nodes.nodes_launched == 1
    assert longest(found, "a") == pytest.approx(2.0 + START + IMAGE, abs=0.01)
    # No node is launched for it, and its image is pulled; a second one of its own would find it there.
    assert longest(found, "b") == pytest.approx(2.0 + IMAGE + 10.0 + 0.04, abs=0.01)
    again = together(kept, a=[0.0], b=[300.0, 600.0])
    assert again.each["b"].waits.total == pytest.approx(longest(found, "b") + 2.0 + 10.04, abs=0.01)
    apart = [simulate(Work(iter([at]), repeat(6.0)), kept) for at in (0.0, 300.0)]
    assert sum(one.nodes_launched for one in apart) == 2


def test_while_anothers_pod_is_there_a_node_is_not_taken() -> None:
    found = together(USUAL, a=[0.0], b=[45.0])
    assert found.nodes.nodes_launched == 2
    assert longest(found, "b") == pytest.approx(2.0 + START, abs=0.01)


def test_pods_of_one_batch_are_packed_onto_nodes_whosever_they_are() -> None:
    four = replace(USUAL, karpenter=replace(USUAL.karpenter, gpus=4))
    # All eight are asked for at 6 s.
    found = together(four, a=[0.0] * 4, b=[0.0] * 4)
    assert (found.each["a"].replicas.most, found.each["b"].replicas.most) == (4, 4)
    assert found.nodes.claims.most == 2
    # With another number, Karpenter makes as many nodes as hold them all, and not as many for each runtime.
    found = together(four, a=[0.0] * 2, b=[0.0] * 2)
    assert found.nodes.claims.most == 1


def test_the_pools_limit_is_for_all_of_them_and_the_oldest_pod_is_next() -> None:
    three = replace(USUAL, karpenter=replace(USUAL.karpenter, limit=3))
    found = together(three, a=[0.0] * 5, b=[1.0] * 5)
    assert found.nodes.claims.most == 3
    assert found.each["a"].tasks + found.each["b"].tasks == 10
    # b's one pod was asked for before a's other four.
    assert longest(found, "b") < 120


def test_a_pod_without_a_node_is_looked_at_again_until_the_limit_leaves_room() -> None:
    # The only node that there may be has b's pod; it leaves, and one is launched for a.
    one = replace(USUAL, karpenter=replace(USUAL.karpenter, limit=1), spot=Spot(share=1.0, hazard=20.0, notice=60.0))
    found = simulate(Work(iter([0.0]), repeat(400.0)), replace(one, agent=replace(one.agent, grace=300.0)), seed=3)
    assert found.interruptions >= 1
    assert found.tasks == 1, "its pod waited for the node that was on its way out"
    assert found.claims.most == 1


def test_an_interrupted_node_tells_every_runtime_that_has_a_pod_on_it() -> None:
    rough = replace(
        USUAL, karpenter=replace(USUAL.karpenter, gpus=2), spot=Spot(share=1.0, hazard=60.0, notice=30.0, usable=5.0)
    )
    members = {name: (Work(iter([0.0]), repeat(60.0)), rough) for name in "ab"}
    found = simulate_together(members, seed=3, until=3600.0)
    assert found.nodes.interruptions > 0
    assert found.each["a"].given_back >= 1
    assert found.each["b"].given_back >= 1
    assert (found.each["a"].tasks, found.each["b"].tasks) == (1, 1)


def test_empty_means_without_a_pod_of_anybody() -> None:
    two = replace(USUAL, karpenter=replace(USUAL.karpenter, gpus=2))
    found = simulate_together(
        {"a": (Work(iter([0.0]), repeat(6.0)), two), "b": (Work(iter([0.0]), repeat(500.0)), two)}, seed=1, until=1500.0
    )
    assert found.nodes.nodes_launched == 1
    assert found.each["a"].replicas.at(400.0) == 0
    assert found.nodes.claims.at(500.0) == 1, "b is still at work on it"
    assert found.nodes.claims.at(1000.0) == 0


def test_queues_of_a_pool_wait_as_if_alone_where_pods_are_always_there() -> None:
    """Two M/M/c queues with pods of their own on nodes in common: each waits as Erlang has it."""
    means: dict[str, list[float]] = {"a": [], "b": []}
    for seed in range(4):
        members = {
            name: (
                Work(later(poisson(rate, Random(seed + offset), 50_000.0)), _services(seed + offset)),
                fixed(pods),
            )
            for name, rate, pods, offset in (("a", 3.0, 4, 0), ("b", 0.6, 1, 50))
        }
        found = simulate_together(members, seed, until=50_000.0)
        for name, one in found.each.items():
            means[name].append(one.waits.mean)
    assert fmean(means["a"]) == pytest.approx(erlang_c(4, 3.0) / (4 - 3.0), rel=0.02)
    assert fmean(means["b"]) == pytest.approx(erlang_c(1, 0.6) / (1 - 0.6), rel=0.04)


def _services(seed: int):  # type: ignore[no-untyped-def]
    return Duration("exponential", 1.0).stream(Random(seed + 99))


def test_each_has_its_own_controllers() -> None:
    slow = replace(USUAL, keda=Keda(queue_length=4, polling=30.0, cooldown=300.0, maximum=2))
    members = {
        "a": (Work(iter([0.0] * 8), repeat(6.0)), USUAL),
        "b": (Work(iter([0.0] * 8), repeat(6.0)), slow),
    }
    found = simulate_together(members, seed=1, until=2000.0)
    assert (found.each["a"].replicas.most, found.each["b"].replicas.most) == (8, 2)
    last = {name: one.replicas.changes[-1] for name, one in found.each.items()}
    assert last["a"][1] == last["b"][1] == 0
    assert last["b"][0] - last["a"][0] > 200, "it stays warm for longer"
