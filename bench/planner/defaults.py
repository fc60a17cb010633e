"""Defaults of `queueLength` and `cooldownPeriod` beside each other: three days, and the arrivals that were recorded.

    python bench/planner/defaults.py            prints the table that docs/scaling.md has; some 20 s

Nodes, prices and days are those of three_days.py; each figure is the mean of three seeds. Recorded arrivals are sixty
tasks of 12 s in ten minutes, on nodes as on AWS; their cost is for the one run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from three_days import DAYS, KIND, guides

from darkroom.config.loader import parse_config
from darkroom.planner.prices import load_prices
from darkroom.planner.recording import read_recording
from darkroom.planner.run import Price, Run, run
from darkroom.planner.run_picture import in_words
from darkroom.planner.simulation.deployment import chart_behavior, settings_of
from darkroom.planner.simulation.settings import Hpa, Settings, Spot
from darkroom.planner.simulation.streams import Duration
from darkroom.planner.traffic import DAY

SEEDS = (1, 2, 3)
CHOICES = ((1, 60), (1, 120), (3, 60), (3, 120), (5, 120))
RECORDED = Path(__file__).parents[2] / "tests" / "unit" / "planner" / "recordings" / "defaults.jsonl"


def with_default(base: Settings, length: int, cooldown: int) -> Settings:
    """The chart's settings with another pair of defaults."""
    keda = replace(base.keda, queue_length=length, cooldown=cooldown)
    return replace(base, keda=keda, hpa=Hpa(chart_behavior(keda.maximum, cooldown, {})))


def rows() -> Iterator[str]:
    """A Markdown table: GPU nodes for a month of such days, and what 19 of 20 tasks wait at most."""
    config = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")
    prices = load_prices("us-west-2")
    price = Price(KIND, prices.hour(KIND), prices.hour(KIND, spot=True))
    base = replace(settings_of(config, config.models_runtime[0]), spot=Spot(1.0, prices.hazard(KIND)))
    every = [guides(base), *(with_default(base, *choice) for choice in CHOICES)]
    names = ["the guide's", *(f"{length}, {cooldown} s" for length, cooldown in CHOICES)]
    yield f"| `queueLength`, `cooldownPeriod` | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for seconds, name in itertools.product((1.5, 6.0, 20.0, 60.0), DAYS):
        cells = []
        for settings in every:
            runs = [
                run(DAYS[name].arrivals(seed), Duration(mean=seconds), settings, price, seed=seed, until=DAY)
                for seed in SEEDS
            ]
            cells.append(_cell(runs, fmean(one.usd_per_month for one in runs)))
        yield f"| {name}, tasks of {seconds:g} s | {' | '.join(cells)} |"
    arrivals = read_recording(RECORDED).arrivals
    cells = []
    for settings in every:
        runs = [run(iter(arrivals), Duration(mean=12.0), settings, price, seed=seed) for seed in SEEDS]
        cells.append(_cell(runs, fmean(one.gpu_usd for one in runs), 2))
    yield f"| recorded arrivals, tasks of 12 s | {' | '.join(cells)} |"


def _cell(runs: list[Run], usd: float, digits: int = 0) -> str:
    return f"${usd:,.{digits}f}, {in_words(fmean(one.outcome.waits.percentile(0.95) for one in runs))}"


if __name__ == "__main__":
    print("\n".join(rows()))
