"""`darkroom plan`: which settings are best for one's traffic, and what last week's were worth."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.deployment_options import DEFAULT_CONFIG, ConfigOption, RegionOption, console_of
from darkroom.cli.options import JsonOption, SvgOption
from darkroom.cli.planner_options import (
    PriceFilesOption,
    PricesOption,
    configuration,
    must_be_finite,
    prices_of,
)
from darkroom.cli.simulating import (
    _TIMES,
    BootOption,
    BurstOption,
    DaysOption,
    HazardOption,
    ImageOption,
    ModelOption,
    NoCapacityOption,
    PerDayOption,
    RuntimeOption,
    SeedOption,
    ServiceOption,
    TrafficOption,
    arrivals_of,
    chosen_runtime,
    price_of,
    service_of,
    starts_at,
)
from darkroom.cli.tables import new_table, numbers, print_table
from darkroom.config.instance_rules import gpus_of
from darkroom.errors import SettingsError
from darkroom.planner.advice import Advice, advise
from darkroom.planner.advice_picture import advice_picture
from darkroom.planner.advice_words import config_lines, in_short, why_not
from darkroom.planner.afterwards import Real, real_of
from darkroom.planner.choice import Choice, Demand, Point
from darkroom.planner.neighbours import choices
from darkroom.planner.prices import Prices
from darkroom.planner.run import Price
from darkroom.planner.run_picture import in_words
from darkroom.planner.simulation.deployment import settings_of, start_seconds
from darkroom.planner.simulation.settings import Nodes, Settings, Spot
from darkroom.planner.traffic import DAY, SHAPES, Traffic, read_trace
from darkroom.planner.usage import Used

# So many tasks are enough to compare settings by; a longer trace is cut.
MOST_TASKS = 14_000


def plan(
    config: ConfigOption = DEFAULT_CONFIG,
    region: RegionOption = None,
    price_files: PriceFilesOption = None,
    price: PricesOption = None,
    p95: Annotated[str, typer.Option(help="How long 19 of 20 tasks may wait: 60s, 5m.")] = "60s",
    budget: Annotated[float | None, typer.Option(min=0, help="USD a month for GPU nodes.")] = None,
    from_usage: Annotated[
        Path | None, typer.Option(help="Task records or a usage export: compare what was with what could have been.")
    ] = None,
    traffic: TrafficOption = "office",
    per_day: PerDayOption = 1000,
    days: DaysOption = 7,
    burst: BurstOption = 20,
    seconds: ServiceOption = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="TYPE=SECONDS: an instance type, and what a task takes on it.")
    ] = None,
    hazard: HazardOption = None,
    no_capacity: NoCapacityOption = 0.0,
    runtime: RuntimeOption = None,
    boot: BootOption = _TIMES.boot,
    image: ImageOption = _TIMES.image,
    model: ModelOption = _TIMES.model,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    picture: SvgOption = None,
) -> None:
    """Find the cheapest settings that keep a promise about waiting."""
    target = seconds_said(p95)
    must_be_finite(
        budget=budget, hazard=hazard, no_capacity=no_capacity, boot=boot, image=image, model=model, days=days,
        per_day=per_day,
    )  # fmt: skip
    prices, found = prices_of(region, price_files, price), configuration(config)
    entry = chosen_runtime(found, runtime)
    settings = settings_of(found, entry, Nodes(boot=boot, image=image, model=model))
    cost, spot = price_of(found, entry, prices, on_demand=False, hazard=hazard, no_capacity=no_capacity)
    trace = _trace(from_usage, traffic, runtime, seed)
    settings = replace(settings, spot=spot, starts_at=starts_at(trace))
    demand = _demand(trace, Traffic(traffic, per_day, days, burst), seconds, seed)
    uses_spot = spot.share > 0
    now = _choice_now(settings, cost, uses_spot)
    kinds = [(cost, None), *_types(types, prices, uses_spot, hazard)]
    wanted = choices(settings, kinds, uses_spot, spot.fallback)
    advice = advise(settings, now, wanted, demand, budget, ways=_ways(spot))
    best = advice.best(target, budget)
    real = real_of(trace) if from_usage is not None and trace else None
    if picture is not None:
        title = f"{entry.name}: {len(demand.arrivals):,} tasks in {demand.seconds / DAY:.3g} days"
        picture.write_text(advice_picture(advice, title, target, budget, best))
    mean = demand.service.mean
    lines = config_lines(entry.name, best, now, mean, start_seconds(settings.nodes)) if best else ""
    reason = "" if best else why_not(advice, target, budget, settings)
    if as_json:
        typer.echo(json.dumps(_document(advice, best, lines, reason, real), indent=2))
    else:
        _show(console_of(), advice, best, lines, reason, real)
    if best is None:
        raise typer.Exit(1)


def seconds_said(text: str) -> float:
    """A time as a person writes it: 90, 60s, 5m, 1h. Raises `SettingsError`."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)(s|m|h)?", text)
    value = float(found[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[found[2]] if found else 0.0
    if value <= 0:
        raise SettingsError(f"--p95 {text} is no time above 0: write seconds, or 60s, 5m, 1h")
    return value


def _trace(from_usage: Path | None, traffic: str, runtime: str | None, seed: int) -> list[Used] | None:
    if from_usage is None and traffic in SHAPES:
        return None
    trace = read_trace(from_usage or Path(traffic), seed)
    return [one for one in trace if runtime is None or one.runtime in (runtime, "")]


def _demand(trace: list[Used] | None, shape: Traffic, seconds: str | None, seed: int) -> Demand:
    """The tasks to choose by, at most `MOST_TASKS` of them."""
    arrivals, until = arrivals_of(trace, shape, seed)
    moments = []
    for at in arrivals:
        moments.append(at)
        if len(moments) >= MOST_TASKS:
            until = at
            break
    if not moments:
        raise SettingsError("no task arrives in so short a time: give more --days or --per-day")
    return Demand(moments, service_of(trace, seconds), until, seed)


def _choice_now(settings: Settings, cost: Price, uses_spot: bool) -> Choice:
    keda = settings.keda
    return Choice(
        keda.queue_length, keda.minimum, keda.maximum, int(keda.cooldown), uses_spot, cost,
        polling=int(keda.polling), fallback=settings.spot.fallback,
    )  # fmt: skip


def _ways(spot: Spot) -> list[tuple[bool, bool]]:
    """Whether Spot, and whether on demand where it has none: what config.yaml allows, and no more."""
    if not spot.share:
        return [(False, True)]
    ways = [(True, spot.fallback)]
    if spot.fallback:
        ways.append((False, True))
        # Where Spot always has a node, it is the same with nothing in its place.
        ways += [(True, False)] if spot.no_capacity else []
    return ways


def _types(
    texts: list[str] | None, prices: Prices, uses_spot: bool, hazard: float | None
) -> list[tuple[Price, float | None]]:
    """The types that may be bought beside the present one, and what a task takes on each."""
    found: list[tuple[Price, float | None]] = []
    for text in texts or ():
        name, _, number = text.partition("=")
        try:
            taken = float(number)
        except ValueError:
            taken = 0.0
        if not name or not 0 < taken < float("inf"):
            raise SettingsError(
                f"--type {text} cannot be read: write TYPE=SECONDS with a number above 0, as g5.xlarge=7.5"
            )
        spot_hour = prices.hour(name, spot=True) if uses_spot else prices.hour(name)
        taken_back = prices.hazard(name) if hazard is None else hazard
        request = prices.usd.get("sqs.request", 0.0)
        found.append((Price(name, prices.hour(name), spot_hour, request, taken_back, gpus_of(name)), taken))
    return found


def _show(console: Console, advice: Advice, best: Point | None, lines: str, reason: str, real: Real | None) -> None:
    table = new_table(
        *numbers("USD a month", "19 of 20 within", "half within", "at work"), "settings", title="The frontier"
    )
    for point in shown(advice.frontier, best):
        mark = "[bold green]" if point == best else ""
        table.add_row(*(f"{mark}{cell}" for cell in _cells(point)))
    print_table(table)
    if real is not None:
        console.print(
            f"As it was: {real.tasks:,} tasks, half waited no longer than {in_words(real.p50)}, 19 of 20 no longer "
            f"than {in_words(real.p95)}; {real.device_hours:,.1f} GPU hours at work.",
            highlight=False,
        )
    console.print(f"As it is set, simulated: {'; '.join(_cells(advice.now))}", highlight=False)
    console.print(f"{advice.simulated} of {advice.considered} settings simulated.", highlight=False)
    if best is not None:
        saved = advice.now.usd_per_month - best.usd_per_month
        console.print(f"[bold]Best[/]: {'; '.join(_cells(best))}", highlight=False)
        console.print(f"That is {abs(saved):,.0f} USD a month {'less' if saved >= 0 else 'more'}.", highlight=False)
        console.print(escape(lines), highlight=False)
    else:
        console.print(f"[bold red]Not to be met.[/] {escape(reason)}", highlight=False)


def shown(frontier: Sequence[Point], best: Point | None) -> list[Point]:
    """What fits a page: those that differ from the one before by more than a few per cent, and the best."""
    found: list[Point] = []
    for point in frontier:
        is_other = not found or point.p95 < 0.85 * found[-1].p95 or point.usd_per_month > 1.15 * found[-1].usd_per_month
        if is_other or point == best or point == frontier[-1]:
            found.append(point)
    return found


def _cells(point: Point) -> list[str]:
    return [
        f"{point.usd_per_month:,.0f}",
        in_words(point.p95),
        in_words(point.p50),
        f"{point.duty:.0%}",
        in_short(point.choice),
    ]


def _document(advice: Advice, best: Point | None, lines: str, reason: str, real: Real | None) -> dict[str, Any]:
    return {
        "considered": advice.considered,
        "simulated": advice.simulated,
        "now": _fields(advice.now),
        "best": _fields(best) if best else None,
        "config": lines or None,
        "why_not": reason or None,
        "real": None if real is None else real.figures(),
        "frontier": [_fields(point) for point in advice.frontier],
    }


def _fields(point: Point) -> dict[str, Any]:
    choice = point.choice
    return {
        "usd_per_month": point.usd_per_month,
        "p50": round(point.p50, 3),
        "p95": round(point.p95, 3),
        "p99": round(point.p99, 3),
        "duty": round(point.duty, 4),
        "queueLength": choice.queue_length,
        "minReplicaCount": choice.minimum,
        "maxReplicaCount": choice.maximum,
        "cooldownPeriod": choice.cooldown,
        "pollingInterval": choice.polling,
        "workingHours": choice.scheduled,
        "workingHoursFrom": choice.hours[0] if choice.scheduled else None,
        "workingHoursTo": choice.hours[1] if choice.scheduled else None,
        "spot": choice.spot,
        "onDemand": not choice.spot or choice.fallback,
        "interruptions": point.interruptions,
        "instanceType": choice.price.instance_type,
    }
