"""The simulation's parts together: agents that stop, nodes that are taken away, Spot that has none."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from itertools import islice, repeat
from random import Random

import pytest

from darkroom.planner.choice import working_hours
from darkroom.planner.simulation import engine
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import BINS, BINS_PER_E, OFFSET, Histogram, Outcome, Steps
from darkroom.planner.simulation.settings import (
    Agent,
    Behavior,
    Budget,
    Hpa,
    Karpenter,
    Keda,
    Nodes,
    Phases,
    Policy,
    Rules,
    Settings,
    Spot,
)
from darkroom.planner.simulation.streams import Duration, poisson

ONE_STEP = Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), Rules(60.0, (Policy("Percent", 100, 15.0),))))
# Nothing is slow here but what a test makes so.
QUICK = Nodes(boot=20.0, image=0.0, container=1.0, model=9.0)
USUAL = Settings(
    Keda(queue_length=1, polling=5.0, cooldown=60.0, maximum=20),
    ONE_STEP,
    Karpenter(consolidate_after=10.0, budgets=(Budget(1.0),)),
    QUICK,
    phases=Phases(2.0, 6.0, 0.0),
)


def run(arrivals: list[float], seconds: float, settings: Settings = USUAL, seed: int = 1) -> Outcome:
    return simulate(Work(iter(arrivals), repeat(seconds)), settings, seed)


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    def figures(seed: int) -> tuple[float, ...]:
        settings = replace(USUAL, spot=Spot(share=1.0, hazard=2.0, no_capacity=0.1))
        work = Work(poisson(0.05, Random(3), 20_000.0), Duration("exponential", 8.0).stream(Random(4)))
        found = simulate(work, settings, seed)
        return found.node_seconds, found.waits.mean, found.interruptions, found.nodes_launched

    assert figures(5) == figures(5)
    assert figures(5) != figures(6)


def test_the_first_task_waits_for_look_batch_node_and_pod() -> None:
    found = run([0.0], 5.0)
    # It ends at 38.4 s; at 97 s the cool-down since the look at 37 s is just not over.
    # The look at 2 s, 1 s of batch, 0.35 of launch, 20 of boot, 10 for the pod, 0.04 for the message.
    assert found.waits.percentile(1.0) == pytest.approx(2.0 + 1.0 + 0.35 + 20.0 + 10.0 + 0.04, rel=0.002)
    assert found.replicas.changes == [(0.0, 0), (2.0, 1), (102.0, 0)]


def test_a_pod_that_comes_back_takes_the_node_that_is_still_there() -> None:
    kept = replace(USUAL, karpenter=Karpenter(consolidate_after=600.0, budgets=(Budget(1.0),)))
    found = run([0.0, 300.0], 5.0, kept)
    assert found.nodes_launched == 1
    assert found.replicas.most == 1
    # The second waits for KEDA's look and the pod alone.
    assert found.waits.total == pytest.approx(33.39 + 2.0 + 10.04, abs=0.1)


def test_the_autoscaler_remembers_while_there_is_none() -> None:
    """Seen on real controllers: four tasks some minutes after eight bring eight pods back, or four."""
    arrivals = [0.0] * 8 + [200.0] * 4
    for hpa, most in ((Hpa(), 8), (ONE_STEP, 4)):
        found = run(arrivals, 6.0, replace(USUAL, hpa=hpa))
        assert max(count for at, count in found.replicas.changes if at >= 200) == most


def test_empty_nodes_leave_together_or_one_by_one_as_the_budget_says() -> None:
    def left(budget: Budget) -> list[int]:
        found = run([0.0] * 8, 6.0, replace(USUAL, karpenter=Karpenter(consolidate_after=10.0, budgets=(budget,))))
        highest = next(i for i, (_, count) in enumerate(found.claims.changes) if count == 8)
        return [count for _, count in found.claims.changes[highest + 1 :]]

    # The autoscaler keeps one pod until KEDA takes it.
    assert left(Budget(1.0)) == [1, 0]
    assert left(Budget(0.1)) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert left(Budget(None, 3)) == [5, 2, 0]


def test_a_node_that_nobody_may_take_away_stays() -> None:
    forever = replace(USUAL, karpenter=Karpenter(consolidate_after=None))
    found = simulate(Work(iter([0.0]), repeat(5.0)), forever, until=5000.0)
    assert found.claims.changes[-1][1] == 1
    assert found.node_seconds == pytest.approx(5000.0 - 3.0)


def test_a_budget_of_nothing_does_not_make_a_run_without_an_end() -> None:
    never = replace(USUAL, karpenter=Karpenter(consolidate_after=10.0, budgets=(Budget(None, 0),)))
    found = run([0.0] * 3, 6.0, never)
    assert found.tasks == 3
    assert found.claims.changes[-1][1] == 3
    assert found.ended_at > 86_400


def test_a_busy_pod_that_is_told_to_stop_finishes_within_its_grace_and_else_gives_back() -> None:
    # Three pods, of which two came together and one of these has a long task; the window of 0 takes two of the three.
    none = Rules(0.0, (Policy("Percent", 100, 15.0),))
    eager = replace(USUAL, hpa=Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), none)))
    ends = set()
    for grace in (30.0, 1000.0):
        for seed in range(12):
            work = Work(iter([0.0, 0.0, 0.0]), iter([5.0, 200.0, 5.0, 200.0]))
            found = simulate(work, replace(eager, agent=Agent(grace=grace)), seed)
            assert found.tasks == 3
            ends.add((grace, found.given_back))
    assert ends == {(30.0, 1), (1000.0, 0)}


def test_a_given_back_task_counts_its_first_wait_only_and_its_work_twice() -> None:
    gone = replace(USUAL, spot=Spot(share=1.0, hazard=60.0, notice=120.0, usable=1.0))
    found = simulate(Work(iter([0.0]), repeat(40.0)), gone, seed=4, until=3600.0)
    assert found.interruptions > 0
    assert found.given_back > 0
    assert found.waits.count == 1
    assert found.waits.percentile(1.0) == pytest.approx(33.39, rel=0.002)
    assert found.busy_seconds > 40.0


def test_an_interruption_makes_a_new_pod_on_a_new_node_and_nothing_is_lost() -> None:
    spot = replace(USUAL, spot=Spot(share=1.0, hazard=12.0))
    work = Work(poisson(0.1, Random(1), 7200.0), repeat(20.0))
    found = simulate(work, spot, seed=2)
    calm = simulate(Work(poisson(0.1, Random(1), 7200.0), repeat(20.0)), USUAL, seed=2)
    assert found.tasks == calm.tasks
    assert found.interruptions > 5
    assert found.waits.percentile(0.95) > calm.waits.percentile(0.95)
    # Each node is drained before EC2 takes it, and whoever ends it himself pays for it.
    assert found.free_seconds == 0
    long = replace(spot, spot=replace(spot.spot, hazard=3.0))
    taken = simulate(Work(poisson(0.01, Random(1), 7200.0), repeat(400.0)), long, seed=2)
    assert taken.given_back > 0
    assert 0 < taken.free_seconds < taken.spot_seconds


def test_where_spot_has_none_a_node_on_demand_comes_or_the_launch_is_tried_again() -> None:
    none = Spot(share=1.0, no_capacity=1.0)
    with_fallback = run([0.0], 5.0, replace(USUAL, spot=none))
    assert with_fallback.launches_refused == 1
    assert with_fallback.spot_seconds == 0
    assert with_fallback.waits.percentile(1.0) == pytest.approx(33.39, rel=0.002)
    without = replace(USUAL, spot=replace(none, no_capacity=0.9, fallback=False, hidden=180.0))
    found = simulate(Work(iter([0.0]), repeat(5.0)), without, seed=1)
    assert found.launches_refused > 1
    assert found.tasks == 1
    assert found.waits.percentile(1.0) > 180.0


def test_a_limit_of_nodes_is_kept() -> None:
    found = run([0.0] * 12, 6.0, replace(USUAL, karpenter=replace(USUAL.karpenter, limit=3)))
    assert found.claims.most == 3
    assert found.tasks == 12


def test_several_pods_share_a_node_with_several_gpus() -> None:
    found = run([0.0] * 8, 6.0, replace(USUAL, karpenter=replace(USUAL.karpenter, gpus=4)))
    assert found.claims.most == 2


def test_agents_choose_tasks_for_the_model_they_have() -> None:
    def switching(window: int) -> float:
        few = replace(USUAL, keda=replace(USUAL.keda, maximum=2), agent=Agent(window=window, switch=15.0))
        work = Work(iter([0.0] * 60), repeat(6.0), iter([0, 1, 2] * 20))
        return simulate(work, few).switch_seconds

    assert switching(8) < switching(1) / 2


def test_without_prefetch_something_passes_between_tasks() -> None:
    one = replace(USUAL, keda=replace(USUAL.keda, maximum=1))
    slower = replace(one, agent=Agent(prefetch=False, gap=0.5))
    last = [run([0.0] * 11, 6.0, found).totals.percentile(1.0) for found in (one, slower)]
    assert last[1] - last[0] == pytest.approx(5.0, abs=0.3)


def test_hours_with_a_minimum_of_their_own() -> None:
    schedule = tuple(2 if hour == 1 else 0 for hour in range(168))
    found = simulate(Work(iter([5400.0]), repeat(5.0)), replace(USUAL, schedule=schedule), until=4 * 3600.0)
    assert found.waits.percentile(1.0) == pytest.approx(0.04, rel=0.01)
    # KEDA makes one at its first look in the hour, the autoscaler the other one at its next; in the end the window on
    # the way down is as long as the cool-down.
    (first, one), (second, two), (_, after) = found.replicas.changes[1:4]
    assert (one, two) == (1, 2)
    assert first == pytest.approx(3602.0)
    assert 0 < second - first <= 15.02
    assert after in (0, 1)
    assert found.replicas.at(7100.0) == 2
    assert found.replicas.at(7400.0) == 0


@pytest.mark.slow
def test_memory_stays_flat_however_many_tasks() -> None:
    def highest(tasks: int) -> int:
        tracemalloc.start()
        work = Work(islice(poisson(0.5, Random(1)), tasks), Duration("exponential", 6.0).stream(Random(2)))
        simulate(work, USUAL)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert highest(160_000) < 1.3 * highest(80_000)  # what is kept of each task would make it 1.5 and more


def test_percentiles_are_right_to_a_few_thousandths() -> None:
    chance = Random(1)
    values = sorted(chance.lognormvariate(2.0, 1.0) for _ in range(20_000))
    found = Histogram(most=max(values))
    for value in values:
        found.bins[min(BINS - 1, int(math.log(value) * BINS_PER_E) + OFFSET)] += 1
    for share in (0.1, 0.5, 0.95, 0.99):
        assert found.percentile(share) == pytest.approx(values[int(share * len(values)) - 1], rel=0.003)
    assert found.share_above(values[15_000]) == pytest.approx(0.25, abs=0.002)


def test_steps_that_are_too_many_keep_their_heights() -> None:
    steps = Steps(limit=100)
    for second in range(1000):
        steps.put(float(second), second % 7)
    assert len(steps.changes) <= 101
    assert steps.most == 6
    assert steps.changes[-1] == (999.0, 999 % 7)


@pytest.mark.parametrize("schedule", [(), working_hours(2)], ids=["no schedule", "working hours"])
@pytest.mark.parametrize("seconds", [1.0, 7.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_kedas_looks_that_are_worked_out_are_those_that_it_makes(
    seed: int, seconds: float, schedule: tuple[int, ...]
) -> None:
    chance = Random(seed)
    arrivals = sorted(chance.random() * 80_000 for _ in range(600))
    cooldown = float(chance.choice([10, 60, 300]))
    polling = float(chance.choice([2, 5, 15, 30]))
    settings = replace(USUAL, keda=replace(USUAL.keda, cooldown=cooldown, polling=polling), schedule=schedule)
    every = []
    for is_lazy in (True, False):
        one = engine.RuntimeRun(Work(iter(arrivals), repeat(seconds)), settings, seed, 90_000.0)
        assert one._lazy
        one._lazy = is_lazy
        every.append(one.run())
    worked_out, looked = every
    assert len(looked.replicas.changes) > 50
    assert worked_out.replicas.changes == looked.replicas.changes
    assert worked_out.claims.changes == looked.claims.changes
    assert worked_out.waits.total == looked.waits.total


@pytest.mark.parametrize("minimum", [0, 2])
@pytest.mark.parametrize("schedule", [(), working_hours(3)], ids=["no schedule", "working hours"])
@pytest.mark.parametrize("seed", range(3))
def test_an_autoscaler_that_rests_over_an_empty_queue_is_one_that_looks(
    seed: int, schedule: tuple[int, ...], minimum: int
) -> None:
    chance = Random(seed)
    arrivals = sorted(
        60 * index * 20.0 + chance.random() * 90 for index in range(60) for _ in range(chance.randint(1, 9))
    )
    keda = replace(USUAL.keda, cooldown=float(chance.choice([60, 300])), minimum=minimum)
    settings = replace(USUAL, keda=keda, schedule=schedule)
    every = []
    for may_rest in (True, False):
        one = engine.RuntimeRun(Work(iter(arrivals), repeat(25.0)), settings, seed, 90_000.0)
        assert one._hpa_may_rest
        one._hpa_may_rest = may_rest
        every.append(one.run())
    rested, looked = every
    assert len(looked.replicas.changes) > 50
    assert [count for _, count in rested.replicas.changes] == [count for _, count in looked.replicas.changes]
    for (one_at, _), (other_at, _) in zip(rested.replicas.changes, looked.replicas.changes, strict=True):
        assert one_at == pytest.approx(other_at, abs=1e-5)
    assert rested.node_seconds == pytest.approx(looked.node_seconds, abs=0.1)
    assert rested.waits.total == pytest.approx(looked.waits.total, abs=0.1)


def test_a_run_that_begins_in_the_middle_of_a_week_has_that_weeks_hours() -> None:
    # Two pods in the hour from 9 on Tuesday; the run begins on Tuesday at 8:20.
    schedule = tuple(2 if hour == 24 + 9 else 0 for hour in range(168))
    settings = replace(USUAL, schedule=schedule, starts_at=(24 + 8) * 3600.0 + 1200.0)
    found = simulate(Work(iter([4000.0]), repeat(5.0)), settings, until=3 * 3600.0)
    assert found.replicas.at(2300.0) == 0
    assert found.replicas.at(2500.0) == 2
    assert found.replicas.at(5900.0) == 2
    assert found.replicas.at(6200.0) == 0
