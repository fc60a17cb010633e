"""`darkroom simulate`: how long tasks would wait, and what the GPU nodes would cost, for traffic that one describes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.deployment_options import DEFAULT_CONFIG, ConfigOption, RegionOption
from darkroom.cli.options import JsonOption, SvgOption
from darkroom.cli.planner_options import (
    PriceFilesOption,
    PricesOption,
    configuration,
    must_be_finite,
    named_shares,
    prices_of,
)
from darkroom.cli.recorded_runs import show_recordings
from darkroom.cli.simulation_table import simulation_table
from darkroom.cli.tables import print_table
from darkroom.config.fit_rules import DEFAULT_MOST_PODS
from darkroom.config.gpu_demand import gpu_demands
from darkroom.config.instance_rules import gpus_of
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.partition import partition_facts
from darkroom.errors import SettingsError
from darkroom.planner.gpu_prices import cheapest_type, priced_types
from darkroom.planner.prices import Prices
from darkroom.planner.run import Price, Run, run_together, run_work, work_of
from darkroom.planner.run_picture import run_picture
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.deployment import settings_of
from darkroom.planner.simulation.settings import Nodes, Settings, Spot
from darkroom.planner.simulation.streams import Duration, duration_of, parse_duration
from darkroom.planner.traffic import DAY, SHAPES, Traffic, read_trace
from darkroom.planner.usage import Used

_TIMES = Nodes()
# 1970 began on a Thursday; and before 1973 there was no picture to make.
_MONDAY, _A_DATE, WEEK_SECONDS = 3 * DAY, 1e8, 7 * DAY
TrafficOption = Annotated[
    str, typer.Option(help=f"{', '.join(SHAPES)}, or a file: times, task records, a usage or CloudWatch export.")
]
ServiceOption = Annotated[
    str | None,
    typer.Option(help="Seconds of a task: 6, exponential:6, lognormal:6:0.4. Default: the file's, or 1.5."),
]
PerDayOption = Annotated[float, typer.Option(help="Tasks a day.")]
DaysOption = Annotated[float, typer.Option(help="Days to simulate.")]
BurstOption = Annotated[int, typer.Option(help="Tasks of a burst, for bursty.")]
BootOption = Annotated[float, typer.Option(help="Seconds until an instance is a node.")]
ImageOption = Annotated[float, typer.Option(help="Seconds to pull images onto a new node.")]
ModelOption = Annotated[float, typer.Option(help="Seconds until a pod's runtime has its model.")]
RuntimeOption = Annotated[str | None, typer.Option(help="A runtime of config.yaml. Default: the first.")]
HazardOption = Annotated[
    float | None, typer.Option(min=0, help="Spot interruptions a node and hour. Default: as the price list has it.")
]
NoCapacityOption = Annotated[float, typer.Option(min=0, max=1, help="Chance that Spot has no node.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same run.")]


def simulate(
    config: ConfigOption = DEFAULT_CONFIG,
    region: RegionOption = None,
    price_files: PriceFilesOption = None,
    price: PricesOption = None,
    traffic: TrafficOption = "daily",
    per_day: PerDayOption = 2000,
    days: DaysOption = 3,
    burst: BurstOption = 20,
    seconds: ServiceOption = None,
    runtime: RuntimeOption = None,
    mix: Annotated[list[str] | None, typer.Option(help="RUNTIME=SHARE of the tasks: each is simulated.")] = None,
    models: Annotated[list[float] | None, typer.Option(help="Share of a model, once for each model.")] = None,
    window: Annotated[int, typer.Option(min=1, help="Messages an agent chooses from.")] = 4,
    switch_seconds: Annotated[float, typer.Option(min=0, help="Seconds to load another model.")] = 15,
    boot: BootOption = _TIMES.boot,
    image: ImageOption = _TIMES.image,
    model: ModelOption = _TIMES.model,
    low: Annotated[float, typer.Option(min=0, max=1, help="Share of low priority, where lowPriority is true.")] = 0.0,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="No Spot nodes.")] = False,
    hazard: HazardOption = None,
    no_capacity: NoCapacityOption = 0.0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A scaling value, as queueLength=4.")] = None,
    recording: Annotated[
        list[Path] | None, typer.Option(help="A run recorded on real controllers: simulate it, and compare.")
    ] = None,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    picture: SvgOption = None,
) -> None:
    """Say how long tasks would wait, and what the GPU nodes would cost."""
    if recording:
        show_recordings(recording, as_json, picture, seed)
        return
    must_be_finite(
        boot=boot, image=image, model=model, hazard=hazard, no_capacity=no_capacity, low=low,
        switch_seconds=switch_seconds, days=days, per_day=per_day,
    )  # fmt: skip
    if models and (not all(0 <= share < math.inf for share in models) or sum(models) <= 0):
        raise SettingsError("--models are shares of the tasks: write numbers of at least 0, one of them above")
    prices, found = prices_of(region, price_files, price), configuration(config)
    shares = named_shares(mix)
    if shares and sum(shares.values()) <= 0:
        raise SettingsError("--mix comes to nothing: give at least one runtime a share above 0")
    names = list(shares) or [chosen_runtime(found, runtime).name]
    together = sum(shares.values()) or 1.0
    trace = None if traffic in SHAPES else read_trace(Path(traffic), seed)
    times = Nodes(boot=boot, image=image, model=model)
    lows = low_shares(found, names, low)
    answers: dict[str, Run] = {}
    for pool, members in by_pool(found, names).items():
        works: dict[str, tuple[Work, Settings]] = {}
        last = 0.0
        for number, name in enumerate(members):
            entry = with_values(chosen_runtime(found, name), set_)
            cost, spot = price_of(found, entry, prices, on_demand, hazard, no_capacity)
            settings = settings_of(found, entry, times)
            agent = replace(settings.agent, window=window if models else 1, switch=switch_seconds)
            karpenter = replace(settings.karpenter, gpus=cost.gpus)
            settings = replace(settings, karpenter=karpenter, spot=spot, agent=agent, starts_at=starts_at(trace))
            mine = None if trace is None else [one for one in trace if not shares or one.runtime in (name, "")]
            shape = Traffic(traffic, per_day * shares.get(name, 1.0) / together, days, burst)
            # Other runtimes' tasks come at other moments; one alone has those of its seed.
            chance = seed + 1000 * number
            arrivals, until = arrivals_of(mine, shape, chance, trace)
            last = max(last, until)
            works[name] = (work_of(arrivals, service_of(mine, seconds), chance, models or (), lows[name]), settings)
        if len(works) == 1:
            answers |= {name: run_work(work, own, cost, seed=seed, until=last) for name, (work, own) in works.items()}
        else:
            each, nodes = run_together(works, cost, seed=seed, until=last)
            answers |= {**each, f"nodes of {pool}": nodes}
    if picture is not None:
        drawn = {name: answer for name, answer in answers.items() if answer.has_tasks}
        for name, answer in drawn.items():
            path = picture if len(drawn) == 1 else picture.with_stem(f"{picture.stem}-{name}")
            path.write_text(run_picture(answer, f"{name}: {Path(traffic).name} traffic"))
    if as_json:
        typer.echo(json.dumps({name: answer.figures() for name, answer in answers.items()}, indent=2))
    else:
        print_table(simulation_table(answers))


def by_pool(config: DarkroomConfig, names: Sequence[str]) -> dict[str, list[str]]:
    """The runtimes that share nodes, together; a runtime with nodes of its own is alone, below its own name."""
    found: dict[str, list[str]] = {}
    for name in names:
        pool = config.pool_of(chosen_runtime(config, name))
        found.setdefault(name if pool is None else pool.name, []).append(name)
    return found


def low_shares(config: DarkroomConfig, names: Sequence[str], low: float) -> dict[str, float | None]:
    """Which share of each runtime's tasks is of low priority; None where it takes none. Raises `SettingsError`."""
    takes = {name: chosen_runtime(config, name).low_priority for name in names}
    if low and not any(takes.values()):
        raise SettingsError(f"--low {low:g}: {', '.join(names)} take no tasks of low priority; set lowPriority: true")
    return {name: low if takes[name] and low else None for name in names}


def chosen_runtime(config: DarkroomConfig, name: str | None) -> RuntimeConfig:
    """The runtime of that name, or the first. Raises `SettingsError`."""
    if name is None:
        return config.models_runtime[0]
    for entry in config.models_runtime:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in config.models_runtime)
    raise SettingsError(f"config.yaml has no runtime {name}: it has {known}")


def with_values(runtime: RuntimeConfig, texts: list[str] | None) -> RuntimeConfig:
    """The runtime with other scaling values. Raises `SettingsError`."""
    values = dict(runtime.extra_value("runtime", "scaling") or {})
    for text in texts or ():
        name, _, number = text.partition("=")
        if not re.fullmatch(r"[0-9]+", number):
            raise SettingsError(f"{text} cannot be read: write NAME=NUMBER, as queueLength=4 or cooldownPeriod=300")
        if name not in _SCALING:
            raise SettingsError(f"{name} is no scaling value that is simulated: use {', '.join(_SCALING)}")
        values[name] = int(number)
        if values[name] < _LEAST.get(name, 0):
            raise SettingsError(f"--set {text}: {name} must be at least {_LEAST[name]}")
    if not texts:
        return runtime
    least, most = values.get("minReplicaCount", 0), values.get("maxReplicaCount", DEFAULT_MOST_PODS)
    if least > most:
        raise SettingsError(f"minReplicaCount, {least}, is more than maxReplicaCount, {most}: --set one of them")
    section = {**(runtime.extra_value("runtime") or {}), "scaling": values}
    return runtime.model_copy(update={"extra_values": {**runtime.extra_values, "runtime": section}, "work_off": None})


_LEAST = {"queueLength": 1, "pollingInterval": 1, "cooldownPeriod": 1, "maxReplicaCount": 1}
_SCALING = (
    "queueLength",
    "activationQueueLength",
    "cooldownPeriod",
    "maxReplicaCount",
    "minReplicaCount",
    "pollingInterval",
)


def price_of(
    config: DarkroomConfig,
    runtime: RuntimeConfig,
    prices: Prices,
    on_demand: bool,
    hazard: float | None,
    no_capacity: float,
) -> tuple[Price, Spot]:
    """What the runtime's nodes cost, and how Spot behaves for them. Raises `MissingPrice`."""
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(prices.region))}
    demand = demands.get(runtime.name)
    if demand is None:
        raise SettingsError(f"the nodes of {runtime.name} are not made by Karpenter: nothing of them can be simulated")
    uses_spot = demand.spot and not on_demand
    kind = cheapest_type(demand, prices, uses_spot)
    has_spot = kind in priced_types(prices, spot=True)
    if uses_spot and not has_spot:
        prices.hour(kind, spot=True)  # says what is missing
    if hazard is None:
        hazard = prices.hazard(kind) if uses_spot else 0.0
    per_hour = prices.hour(kind)
    spot_hour = prices.hour(kind, spot=True) if uses_spot else per_hour
    cost = Price(kind, per_hour, spot_hour, prices.usd.get("sqs.request", 0.0), gpus=gpus_of(kind))
    return cost, Spot(1.0 if uses_spot else 0.0, hazard, no_capacity, fallback=demand.on_demand)


def starts_at(trace: list[Used] | None) -> float:
    """How many seconds of a week that begins on Monday had passed at the first task; shapes of traffic begin on Monday.

    So do times that are no dates, as seconds since a test began.
    """
    first = trace[0].created_at if trace else 0.0
    return (first + _MONDAY) % WEEK_SECONDS if first >= _A_DATE else 0.0


def arrivals_of(
    trace: list[Used] | None, shape: Traffic, seed: int, whole: list[Used] | None = None
) -> tuple[Iterator[float], float]:
    """The moments from the trace or the shape, and when to stop.

    Of a trace they are seconds since its first task; where it is a part of another one, `whole`, since that one's.
    """
    if trace is None:
        return shape.arrivals(seed), shape.days * DAY
    if not trace:
        raise SettingsError("the file has no task for this runtime: look at its column runtime")
    first = (whole or trace)[0].created_at
    moments = [one.created_at - first for one in trace]
    return iter(moments), moments[-1] + 3600.0


def service_of(trace: list[Used] | None, text: str | None) -> Duration:
    """How long tasks take: as the user says, as the trace says, or as the guide has it."""
    if text is not None:
        return parse_duration(text)
    seen = [taken for one in trace or () if (taken := _taken(one)) is not None]
    return duration_of(seen) if seen else Duration()


def _taken(one: Used) -> float | None:
    if one.device_seconds is not None:
        return one.device_seconds
    if one.started_at is None or one.ended_at is None:
        return None
    return one.ended_at - one.started_at
