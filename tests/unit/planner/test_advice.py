"""Advice: the frontier is one, the target is met by what is named, and what cannot be met is said with its reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from darkroom.config.gpu_demand import gpu_demands
from darkroom.config.loader import parse_config
from darkroom.config.partition import partition_facts
from darkroom.planner.advice import Advice, advise, frontier_of
from darkroom.planner.advice_picture import advice_picture
from darkroom.planner.advice_words import config_lines, why_not
from darkroom.planner.choice import Choice, Demand, Point, evaluate, working_hours
from darkroom.planner.neighbours import beside, choices
from darkroom.planner.run import Price
from darkroom.planner.simulation.deployment import settings_of, start_seconds
from darkroom.planner.simulation.settings import Spot
from darkroom.planner.simulation.streams import Duration
from darkroom.planner.traffic import DAY, Traffic

CONFIG = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")
BASE = settings_of(CONFIG, CONFIG.models_runtime[0])
PRICE = Price("g6.2xlarge", 0.9776, 0.41)
NOW = Choice(1, 0, 20, 60, True, PRICE)
DEMAND = Demand(list(Traffic("office", 400.0, 7.0).arrivals(1)), Duration("constant", 6.0), 7 * DAY)
SOME = [
    replace(NOW, queue_length=length, cooldown=cooldown, minimum=minimum, scheduled=scheduled, maximum=maximum)
    for length, cooldown, minimum, scheduled, maximum in (
        (1, 60, 0, 0, 20), (10, 60, 0, 0, 5), (10, 300, 0, 0, 5), (10, 300, 0, 1, 5),
        (1, 300, 0, 2, 20), (1, 60, 2, 0, 20), (1, 900, 0, 0, 20), (1, 60, 5, 0, 20),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def advice() -> Advice:
    return advise(BASE, NOW, SOME, DEMAND, budget=None, processes=1)


def test_the_frontier_holds_what_nothing_beats_and_nothing_else(advice: Advice) -> None:
    assert len(advice.frontier) > 2
    for point in advice.frontier:
        assert not any(point.is_beaten_by(other) for other in advice.points)
    for point in advice.points:
        assert point in advice.frontier or any(
            point.is_beaten_by(other) or (other.usd_per_month, other.p95) == (point.usd_per_month, point.p95)
            for other in advice.frontier
        )
    costs = [point.usd_per_month for point in advice.frontier]
    assert costs == sorted(costs)


def test_what_was_left_early_is_not_on_the_true_frontier(advice: Advice) -> None:
    """Pruning must not lose anything: every setting to its end gives the same frontier."""
    assert len(advice.points) < len(SOME) + 1, "something was left early"
    everything = [evaluate(choice, BASE, DEMAND) for choice in dict.fromkeys([NOW, *SOME])]
    assert frontier_of(everything) == list(advice.frontier)


def test_the_best_is_the_cheapest_that_meets_the_target(advice: Advice) -> None:
    best = advice.best(60.0, None)
    assert best is not None
    assert best.p95 <= 60.0
    assert all(p.usd_per_month >= best.usd_per_month for p in advice.points if p.p95 <= 60.0 and not p.unfinished)
    again = evaluate(best.choice, BASE, DEMAND)
    assert again == best, "the same tasks, the same answer"


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"minimum": 2, "polling": 30, "cooldown": 900},
        {"scheduled": 3, "hours": (7, 20), "queue_length": 4, "polling": 10},
        {"spot": False},
        {"fallback": False},
        {"price": Price("g6e.2xlarge", 2.24, 0.83, 0.4e-6)},
    ],
)
def test_its_lines_are_a_config_that_is_valid_and_says_the_same(other: dict[str, Any]) -> None:
    choice = replace(NOW, **other)
    lines = config_lines("a", Point(choice, 1.0, 0.0, 0.0, 0.5, 0), NOW, 6.0, start_seconds())
    values = [line for line in lines.splitlines() if re.search(r": [\w\[{]", line) and "name:" not in line]
    assert len(values) >= 5
    for line in values:
        assert "#" in line or "- {start:" in line, "each has its reason"
    (said,) = yaml.safe_load(lines)["modelsRuntime"]
    config = parse_config(yaml.safe_dump({"modelsRuntime": [{**said, "type": "sdwebui"}]}))
    written, wanted = settings_of(config, config.models_runtime[0]), choice.settings(BASE)
    assert (written.keda, written.hpa, written.schedule) == (wanted.keda, wanted.hpa, wanted.schedule)
    (demand,) = gpu_demands(config, partition_facts("us-east-1"))
    assert (demand.spot, demand.on_demand) == (choice.spot, not choice.spot or choice.fallback)
    assert choice.price.instance_type in demand.instance_types


FEW = Demand(list(Traffic("office", 200.0, 1.0).arrivals(2)), Duration("constant", 6.0), DAY)


def test_the_search_goes_on_beside_the_frontier() -> None:
    ways = [(True, True), (False, True), (True, False)]
    rough = replace(BASE, spot=Spot(share=1.0, hazard=1.0, no_capacity=0.5))
    found = advise(rough, NOW, SOME, FEW, None, processes=1, ways=ways)
    seen = [point.choice for point in found.points]
    assert {choice.polling for choice in seen} >= {2, 5, 10, 15, 30}
    assert {(choice.spot, choice.fallback) for choice in seen} == {(True, True), (False, True), (True, False)}
    assert len({choice.hours for choice in seen}) > 2
    assert len({choice.queue_length for choice in seen}) > len({choice.queue_length for choice in SOME})
    # Nothing is lost by it, and something is found that the grid had not.
    grid = advise(rough, NOW, SOME, FEW, None, processes=1)
    assert found.considered > 3 * grid.considered
    for point in grid.frontier:
        assert point in found.frontier or any(point.is_beaten_by(other) for other in found.frontier)
    assert any(point not in grid.points for point in found.frontier)
    assert advise(rough, NOW, SOME, FEW, None, processes=2, ways=ways) == found, "the same in other processes"


def test_a_step_beside_a_choice_changes_one_thing_and_can_be_written_down() -> None:
    start = replace(NOW, scheduled=2)
    steps = beside([start], [(True, True), (False, True)])
    for step in steps:
        changed = [name for name in vars(step) if getattr(step, name) != getattr(start, name)]
        assert len(changed) <= 1
        assert 0 <= max(step.minimum, step.scheduled) <= step.maximum
        assert 0 <= step.hours[0] < step.hours[1] < 24
        assert step.cooldown >= 1
        assert step.queue_length >= 1
    assert len(steps) == len(set(steps))


def test_interruptions_are_paid_for_in_waiting_and_so_is_a_lack_of_capacity() -> None:
    """With rates that are high enough, on demand is faster than Spot, and Spot alone slower than with a way out."""
    steady = Demand(list(Traffic("steady", 2000.0, 0.5).arrivals(2)), Duration("constant", 20.0), DAY / 2)
    warm = replace(NOW, minimum=2, queue_length=3)
    rough = replace(BASE, spot=Spot(share=1.0, hazard=4.0))
    spot, sure = (evaluate(replace(warm, spot=is_spot), rough, steady) for is_spot in (True, False))
    assert spot.interruptions > 20
    assert sure.interruptions == 0
    assert sure.p95 < 0.8 * spot.p95
    # A type's own rate goes before the settings'.
    assert evaluate(replace(warm, price=replace(PRICE, hazard=0.0)), rough, steady).interruptions == 0
    scarce = replace(BASE, spot=Spot(share=1.0, no_capacity=0.7))
    either, alone = (evaluate(replace(NOW, fallback=fallback), scarce, steady) for fallback in (True, False))
    assert alone.p95 > 1.3 * either.p95
    assert alone.usd_per_month < either.usd_per_month


def test_looks_at_the_queue_are_paid_for() -> None:
    often, seldom = (replace(NOW, polling=polling, price=replace(PRICE, request=0.4e-6)) for polling in (2, 30))
    assert often.usd_for_looks == pytest.approx(730 * 1800 * 0.4e-6)
    assert often.usd_for_looks == pytest.approx(15 * seldom.usd_for_looks)
    assert evaluate(often, BASE, FEW).usd_per_month == pytest.approx(
        evaluate(replace(often, price=PRICE), BASE, FEW).usd_per_month + often.usd_for_looks, abs=0.011
    )


def test_a_task_on_another_type_keeps_the_shape_of_its_times() -> None:
    seen = Duration("seen", 4.0, 0.0, (2.0, 6.0))
    assert seen.with_mean(8.0) == Duration("seen", 8.0, 0.0, (4.0, 12.0))
    shape = Duration("lognormal", 6.0, 0.4)
    assert shape.with_mean(3.0) == replace(shape, mean=3.0)


def test_a_target_below_the_start_says_that_the_start_is_longer() -> None:
    point = Point(NOW, 100.0, 1.0, 155.0, 0.1, 0)
    told = why_not(Advice(1, 1, [point], [point], point), 30.0, None, BASE)
    assert "No setting has a 95th percentile of 30 s: the best has 2.6 min" in told
    assert "a start alone takes 2.5 min" in told


def test_a_target_that_only_more_pods_meet_says_so() -> None:
    point = Point(replace(NOW, minimum=2), 600.0, 0.0, 5.0, 0.1, 0)
    told = why_not(Advice(3, 2, [point], [point], point), 1.0, 300.0, BASE)
    assert "No setting that may come within twice the budget" in told
    assert "waits for pods that are at work, not for a start" in told


def test_a_budget_that_is_too_small_says_what_it_would_cost_and_what_it_buys() -> None:
    cheap, dear = Point(NOW, 100.0, 1.0, 155.0, 0.1, 0), Point(replace(NOW, minimum=2), 600.0, 0.0, 0.1, 0.1, 0)
    advice = Advice(2, 2, [cheap, dear], [cheap, dear], cheap)
    assert advice.best(60.0, 300.0) is None
    told = why_not(advice, 60.0, 300.0, BASE)
    assert "costs 600 USD a month at least" in told
    assert "and 300 are allowed" in told
    assert "the best within the budget waits 2.6 min for 100" in told
    assert "the cheapest of all costs 100" in why_not(advice, 60.0, 50.0, BASE)


def test_what_cannot_be_paid_is_not_simulated() -> None:
    found = advise(BASE, NOW, [replace(NOW, minimum=20)], DEMAND.part(0.1), budget=100.0, processes=1)
    assert (found.considered, found.simulated) == (2, 1)


def test_there_are_at_least_two_hundred_settings_to_choose_from() -> None:
    found = choices(BASE, [(PRICE, None)], spot=True)
    assert len(set(found)) == len(found) >= 200


def test_working_hours_are_fifty_of_a_week() -> None:
    assert sum(working_hours(1)) == 50
    assert replace(NOW, scheduled=1).least_usd_per_month == pytest.approx(0.41 * 730 * 50 / 168)


def test_the_picture_names_now_and_best(advice: Advice) -> None:
    best = advice.best(60.0, 700.0)
    words = "".join(ElementTree.fromstring(advice_picture(advice, "a: tasks", 60.0, 700.0, best)).itertext())  # noqa: S314
    for word in ("now", "best", "target: 60 s", "19 of 20 tasks wait"):
        assert word in words
