"""Shapes of traffic, traces of it, and durations: what they come to, and what is said of one that cannot be."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from statistics import fmean, stdev

import pytest

from darkroom.errors import SettingsError
from darkroom.planner.simulation.streams import Duration, duration_of, parse_duration
from darkroom.planner.traffic import DAY, HOUR, SHAPES, Traffic, read_trace


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_its_mean_in_order_and_repeats(shape: str) -> None:
    traffic = Traffic(shape, per_day=5000.0, days=14.0)
    found = list(traffic.arrivals(3))
    assert len(found) == pytest.approx(70_000, rel=0.03)
    assert all(one <= other for one, other in pairwise(found))
    assert found[0] >= 0
    assert found[-1] < 14 * DAY
    assert found == list(traffic.arrivals(3))
    assert shape == "constant" or found != list(traffic.arrivals(4))


def test_office_hours_and_afternoons() -> None:
    office = list(Traffic("office", 5000.0, 7.0).arrivals(1))
    working = [at for at in office if at < 5 * DAY and 9 <= at % DAY / HOUR < 18]
    assert len(working) / len(office) > 0.9
    daily = [at % DAY / HOUR for at in Traffic("daily", 5000.0, 10.0).arrivals(1)]
    assert sum(14 <= hour < 16 for hour in daily) > 10 * sum(2 <= hour < 4 for hour in daily)


def test_bursts_come_within_seconds() -> None:
    found = list(Traffic("bursty", 1000.0, 20.0, burst=30).arrivals(1))
    near = sum(other - one < 20 for one, other in pairwise(found))
    assert near / len(found) > 0.9


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"shape": "weekly"}, "use steady, constant"),
        ({"per_day": 0.0}, "above 0"),
        ({"per_day": float("nan")}, "above 0"),
        ({"per_day": 1e12}, "more than the 200,000,000 that are simulated at most: give fewer --days"),
    ],
)
def test_traffic_that_cannot_be(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Traffic(**wrong).arrivals(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "document",
    [
        {
            "Datapoints": [
                {"Timestamp": "2026-11-25T08:05:00Z", "Sum": 2},
                {"Timestamp": "2026-11-25T08:00:00Z", "Sum": 3},
            ]
        },
        {"MetricDataResults": [{"Timestamps": ["2026-11-25T08:05:00Z", "2026-11-25T08:00:00Z"], "Values": [2, 3]}]},
    ],
)
def test_cloudwatchs_counts_are_spread_over_their_periods(tmp_path: Path, document: object) -> None:
    file = tmp_path / "metric.json"
    file.write_text(json.dumps(document))
    found = [one.created_at % 3600 for one in read_trace(file)]
    assert len(found) == 5
    assert sum(at < 300 for at in found) == 3
    assert all(0 <= at < 600 for at in found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Average": 2}]}', "ask with --statistics Sum"),
        ('{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Sum": 0}]}', "counted no message"),
        ('{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Sum": Infinity}]}', "ask with --statistics Sum"),
        ('{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Sum": 1e15}]}', "ask for a shorter time"),
        ('{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Sum": -3}]}', "a Sum is below 0"),
        ('{"Datapoints": [7]}', "ask with --statistics Sum"),
        ('{"MetricDataResults": 7}', "ask with --statistics Sum"),
        ("1700000000000\n1800000000000\n", "are its times in milliseconds"),
        ("a,b\n1,2\n", "no column for when"),
    ],
)
def test_a_bad_trace_says_what_to_change(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_trace(file)


@pytest.mark.parametrize(
    ("text", "kind", "mean", "spread"),
    [
        ("6", "constant", 6.0, 0.0),
        ("exponential:4", "exponential", 4.0, 1.0),
        ("lognormal:5:0.4", "lognormal", 5.0, 0.4),
    ],
)
def test_durations_have_the_mean_and_the_spread_that_was_said(text: str, kind: str, mean: float, spread: float) -> None:
    duration = parse_duration(text)
    drawn = list(islice(duration.stream(Random(1)), 40_000))
    assert duration.kind == kind
    assert fmean(drawn) == pytest.approx(mean, rel=0.02)
    assert stdev(drawn) / fmean(drawn) == pytest.approx(spread, abs=0.02)


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "normal:3", "exponential:3:1", "lognormal:a", "inf"])
def test_a_duration_that_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match="is no duration"):
        parse_duration(text)


def test_durations_as_they_were_seen() -> None:
    drawn = set(islice(duration_of([2.0, 0.0, 7.0]).stream(Random(1)), 100))
    assert drawn == {2.0, 7.0}
    with pytest.raises(SettingsError, match="needs device_seconds"):
        duration_of([])
    assert Duration().mean == 1.5
