"""Advice: the frontier is one, the target is met by what is named, and what cannot be met is said with its reason."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
import yaml

from darkroom.config.loader import parse_config
from darkroom.planner.advice import Advice, Choice, Demand, Point, advise, choices, evaluate, frontier_of, working_hours
from darkroom.planner.advice_picture import advice_picture
from darkroom.planner.advice_words import config_lines, why_not
from darkroom.planner.run import Price
from darkroom.planner.simulation.deployment import settings_of, start_seconds
from darkroom.planner.simulation.streams import Duration
from darkroom.planner.traffic import DAY, Traffic

CONFIG = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")
BASE = settings_of(CONFIG, CONFIG.models_runtime[0])
PRICE = Price("g6.2xlarge", 0.9776, 0.41)
NOW = Choice(1, 0, 20, 60, True, PRICE)
DEMAND = Demand(list(Traffic("office", 400.0, 2.0).arrivals(1)), Duration("constant", 6.0), 2 * DAY)
SOME = [
    replace(NOW, queue_length=length, cooldown=cooldown, minimum=minimum, scheduled=scheduled, maximum=maximum)
    for length, cooldown, minimum, scheduled, maximum in (
        (1, 60, 0, 0, 20), (10, 60, 0, 0, 5), (10, 300, 0, 0, 5), (10, 300, 0, 1, 5),
        (1, 300, 0, 2, 20), (1, 60, 2, 0, 20), (1, 900, 0, 0, 20), (1, 60, 5, 0, 20),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def advice() -> Advice:
    return advise(BASE, NOW, SOME, DEMAND, budget=None)


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
    everything = [evaluate(choice, BASE, DEMAND) for choice in dict.fromkeys([NOW, *SOME])]
    assert frontier_of(everything) == list(advice.frontier)


def test_the_best_is_the_cheapest_that_meets_the_target(advice: Advice) -> None:
    best = advice.best(60.0, None)
    assert best is not None
    assert best.p95 <= 60.0
    assert all(p.usd_per_month >= best.usd_per_month for p in advice.points if p.p95 <= 60.0 and not p.unfinished)
    again = evaluate(best.choice, BASE, DEMAND)
    assert again == best, "the same tasks, the same answer"


def test_its_lines_are_a_config_that_is_valid_and_says_the_same(advice: Advice) -> None:
    best = advice.best(60.0, None)
    assert best is not None
    lines = config_lines("a", best, NOW, 6.0, start_seconds())
    assert all("#" in line for line in lines.splitlines() if "Count:" in line or "queueLength:" in line)
    (said,) = yaml.safe_load(lines)["modelsRuntime"]
    config = parse_config(yaml.safe_dump({"modelsRuntime": [{**said, "type": "sdwebui"}]}))
    assert settings_of(config, config.models_runtime[0]) == best.choice.settings(BASE)


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
    found = advise(BASE, NOW, [replace(NOW, minimum=20)], DEMAND.part(0.1), budget=100.0)
    assert (found.considered, found.simulated) == (2, 1)


def test_there_are_at_least_two_hundred_settings_to_choose_from() -> None:
    found = choices(BASE, [(PRICE, None)], spot=True)
    assert len(set(found)) == len(found) >= 200


def test_working_hours_are_fifty_of_a_week() -> None:
    assert sum(working_hours(1)) == 50
    assert replace(NOW, scheduled=1).least_usd_per_month == pytest.approx(0.41 * 730 * 50 / 168)


def test_the_picture_names_now_and_best(advice: Advice) -> None:
    best = advice.best(60.0, 500.0)
    words = "".join(ElementTree.fromstring(advice_picture(advice, "a: tasks", 60.0, 500.0, best)).itertext())  # noqa: S314
    for word in ("now", "best", "target: 60 s", "19 of 20 tasks wait"):
        assert word in words
