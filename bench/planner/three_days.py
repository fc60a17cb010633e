"""Three days under the guide's default settings, Darkroom's, and the planner's: what they cost and who waits how long.

    python bench/planner/three_days.py           prints the table
    python bench/planner/three_days.py --write   also writes docs/planning-days.svg and the table in README.md

2,000 tasks of 6 s a day, on the same nodes at the same price: g5.2xlarge, Spot, us-west-2, as in the guide's own table.
The guide's settings are those of its chart (aws-samples/stable-diffusion-on-eks, src/charts/sd_on_eks/values.yaml):
ten messages for each pod, a look every second, 60 s of cool-down; the autoscaler by its own rules, a tenth of the empty
nodes at once, half a minute for a pod that has to go, agents that poll for 20 s and fetch after each task. The planner
is asked for the cheapest with which 19 of 20 tasks wait less than a minute.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.config.loader import parse_config
from darkroom.planner.advice import advise
from darkroom.planner.advice_words import in_short
from darkroom.planner.choice import Choice, Demand, Point, run_choice
from darkroom.planner.drawing import BLUE, GREEN, LEFT, RED, Axis, Canvas, Plot, legend
from darkroom.planner.neighbours import choices
from darkroom.planner.prices import load_prices
from darkroom.planner.run import Price, Run, run
from darkroom.planner.run_picture import in_words, thinned
from darkroom.planner.simulation.deployment import settings_of
from darkroom.planner.simulation.settings import Agent, Budget, Hpa, Karpenter, Keda, Settings, Spot
from darkroom.planner.simulation.streams import Duration
from darkroom.planner.traffic import DAY, Traffic

ROOT = Path(__file__).parents[2]
TARGET, SEED = 60.0, 1
KIND = "g5.2xlarge"
WAYS = ((True, True), (False, True))
DAYS = {
    "bursty": Traffic("bursty", 2000.0, 1.0, 40),
    "office hours": Traffic("office", 1120.0, 1.0),  # a working day of such a week has 2,000
    "steady": Traffic("steady", 2000.0, 1.0),
}


@dataclass(frozen=True)
class Day:
    """One day under three settings, and what the planner chose."""

    guide: Run
    ours: Run
    best: Run
    chosen: Point
    cheaper: Point


def guides(base: Settings) -> Settings:
    """The guide's chart, and what it leaves to the controllers and to its agent."""
    return replace(
        base,
        keda=Keda(queue_length=10, polling=1.0, cooldown=60.0, maximum=20),
        hpa=Hpa(),
        karpenter=Karpenter(consolidate_after=0.0, budgets=(Budget(0.1),)),
        agent=Agent(poll=20.0, grace=30.0, prefetch=False, gap=0.29),
    )


def measured() -> dict[str, Day]:
    """All three days."""
    config = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")
    prices = load_prices("us-west-2")
    price = Price(KIND, prices.hour(KIND), prices.hour(KIND, spot=True), prices.of("sqs.request"))
    base = settings_of(config, config.models_runtime[0])
    base = replace(base, spot=Spot(share=1.0, hazard=prices.hazard(KIND)))
    now = Choice(base.keda.queue_length, 0, base.keda.maximum, int(base.keda.cooldown), True, price)
    found = {}
    for name, traffic in DAYS.items():
        moments = list(traffic.arrivals(SEED))
        demand = Demand(moments, Duration(mean=6.0), DAY, SEED)
        advice = advise(base, now, choices(base, [(price, None)], True), demand, None, ways=WAYS)
        chosen = advice.best(TARGET, None)
        if chosen is None:
            raise RuntimeError(f"{name}: nothing meets {TARGET:g} s")
        guide = run(iter(moments), demand.service, guides(base), price, seed=SEED, until=DAY)
        cheaper = advice.best(guide.outcome.waits.percentile(0.95), None) or chosen
        best = run_choice(chosen.choice, base, demand)
        found[name] = Day(guide, run_choice(now, base, demand), best, chosen, cheaper)
    return found


def rows(days: dict[str, Day]) -> Iterator[str]:
    """A Markdown table: of each, GPU nodes for a month of such days, and what 19 of 20 tasks wait at most."""
    columns = [
        "the guide's defaults",
        "Darkroom's defaults",
        "cheapest as fast as the guide's",
        "cheapest within a minute",
    ]
    yield f"| a day of 2,000 tasks of 6 s | {' | '.join(columns)} | which is |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for name, day in days.items():
        cheaper = f"${day.cheaper.usd_per_month:,.0f}, {in_words(day.cheaper.p95)}"
        cells = [_figures(day.guide), _figures(day.ours), cheaper, _figures(day.best)]
        yield f"| {name} | {' | '.join(cells)} | {in_short(day.chosen.choice).removesuffix(f', {KIND}, Spot')} |"


def _figures(found: Run) -> str:
    return f"${found.usd_per_month:,.0f}, {in_words(found.outcome.waits.percentile(0.95))}"


def picture(days: dict[str, Day]) -> str:
    """Nodes over each day, under each of the settings."""
    canvas = Canvas(
        960, "GPU nodes over three days, under the guide's settings and the planner's", "\n".join(rows(days))
    )
    canvas.text(LEFT, 30, "GPU nodes that are paid, over a day of 2,000 tasks", "h")
    entries = ((RED, "the guide's defaults"), (BLUE, "Darkroom's defaults"), (GREEN, "the planner's"))
    legend(canvas, 56, [(colour, "", word) for colour, word in entries])
    top = 115.0
    for name, day in days.items():
        runs = (day.guide, day.ours, day.best)
        most = max(one.outcome.claims.most for one in runs)
        plot = Plot(canvas, top, 150, Axis(0.0, DAY), Axis(0.0, float(most)))
        words = "; ".join(
            f"{word} {_figures(one)}" for word, one in zip(("guide", "Darkroom", "planner"), runs, strict=True)
        )
        plot.grid(f"{name}: {words}", [(hour * 3600.0, f"{hour} h") for hour in range(0, 25, 3)])
        for one, (colour, _) in zip(runs, entries, strict=True):
            plot.steps(thinned(one.outcome.claims, DAY, 480), colour, filled=colour == GREEN)
        top += 215
    canvas.text(LEFT, top - 25, "$: GPU nodes in a month of such days; the time: 19 of 20 tasks wait no longer.", "s")
    canvas.height = int(top - 5)
    return canvas.svg()


def main() -> None:
    """Compute and print, or write."""
    days = measured()
    table = list(rows(days))
    print("\n".join(table))
    if "--write" in sys.argv:
        (ROOT / "docs" / "planning-days.svg").write_text(picture(days))
        page = ROOT / "README.md"
        begin, end = "<!-- begin days -->", "<!-- end days -->"
        text = "\n".join([begin, *table, end])
        page.write_text(re.sub(f"{begin}.*?{end}", lambda _: text, page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
