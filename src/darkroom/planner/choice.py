"""One combination of what config.yaml can set, what it comes to, and the tasks that all of them are tried with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from darkroom.planner.price_names import HOURS_PER_MONTH
from darkroom.planner.run import Price, Run, run
from darkroom.planner.simulation.deployment import chart_behavior
from darkroom.planner.simulation.settings import Hpa, Settings, Spot
from darkroom.planner.simulation.streams import Duration

_DAYS_OF_WORK, _DAY, _WEEK = 5, 24, 168
# Working hours, in which a schedule may keep pods: 8 to 18, Monday to Friday.
WORKING_HOURS = (8, 18)


@dataclass(frozen=True)
class Choice:
    """One combination of what can be set.

    `scheduled`: fewest pods in working hours, which are `hours`, beside `minimum` at any hour. `spot` with `fallback`
    is Spot and, where it has none, on demand; without, nothing but Spot. `seconds`: what a task takes on this type.
    """

    queue_length: int
    minimum: int
    maximum: int
    cooldown: int
    spot: bool
    price: Price
    seconds: float | None = None
    scheduled: int = 0
    polling: int = 2
    fallback: bool = True
    hours: tuple[int, int] = WORKING_HOURS

    def settings(self, base: Settings) -> Settings:
        """The simulation's settings for it."""
        keda = replace(
            base.keda,
            queue_length=self.queue_length,
            minimum=self.minimum,
            maximum=self.maximum,
            cooldown=self.cooldown,
            polling=self.polling,
        )
        behavior = chart_behavior(self.maximum, self.cooldown, {})
        hazard = base.spot.hazard if self.price.hazard is None else self.price.hazard
        spot = replace(base.spot, share=1.0, hazard=hazard, fallback=self.fallback) if self.spot else Spot()
        schedule = working_hours(self.scheduled, self.hours) if self.scheduled > self.minimum else base.schedule
        karpenter = replace(base.karpenter, gpus=self.price.gpus)
        return replace(base, keda=keda, hpa=Hpa(behavior), karpenter=karpenter, spot=spot, schedule=schedule)

    @property
    def least_usd_per_month(self) -> float:
        """What its pods that are always there cost: it cannot be less."""
        hour = self.price.spot if self.spot else self.price.on_demand
        opens, closes = self.hours
        open_share = (closes - opens) * _DAYS_OF_WORK / _WEEK
        always = self.minimum + max(0, self.scheduled - self.minimum) * open_share
        return always / self.price.gpus * hour * HOURS_PER_MONTH

    @property
    def usd_for_looks(self) -> float:
        """What KEDA's looks at the queue cost in a month."""
        return HOURS_PER_MONTH * 3600 / self.polling * self.price.request


@dataclass(frozen=True)
class Point:
    """What a choice comes to. `usd_per_month`: GPU nodes and KEDA's looks; `interruptions` in the tasks' whole time."""

    choice: Choice
    usd_per_month: float
    p50: float
    p95: float
    duty: float
    unfinished: int
    interruptions: int = 0
    p99: float = 0.0

    def is_beaten_by(self, other: Point) -> bool:
        """Whether the other one is no worse in both, and better in one."""
        no_worse = other.usd_per_month <= self.usd_per_month and other.p95 <= self.p95
        return no_worse and (other.usd_per_month < self.usd_per_month or other.p95 < self.p95)


@dataclass(frozen=True)
class Demand:
    """What the settings are chosen for: when tasks come, how long each takes, for how long it is looked at."""

    arrivals: Sequence[float]
    service: Duration
    seconds: float
    seed: int = 1

    def part(self, share: float) -> Demand:
        """The first stretch of it."""
        until = self.seconds * share
        return replace(self, arrivals=[at for at in self.arrivals if at < until], seconds=until)


def working_hours(pods: int, hours: tuple[int, int] = WORKING_HOURS) -> tuple[int, ...]:
    """Fewest pods for each hour of a week that begins on Monday."""
    opens, closes = hours
    return tuple(pods if hour // _DAY < _DAYS_OF_WORK and opens <= hour % _DAY < closes else 0 for hour in range(_WEEK))


def evaluate(choice: Choice, base: Settings, demand: Demand) -> Point:
    """Simulate one choice."""
    found = run_choice(choice, base, demand)
    waits = found.outcome.waits
    return Point(
        choice,
        round(found.usd_per_month + choice.usd_for_looks, 2),
        waits.percentile(0.5),
        waits.percentile(0.95),
        found.outcome.duty,
        found.outcome.unfinished,
        found.outcome.interruptions,
        waits.percentile(0.99),
    )


def run_choice(choice: Choice, base: Settings, demand: Demand) -> Run:
    """The whole run of one choice."""
    service = demand.service if choice.seconds is None else demand.service.with_mean(choice.seconds)
    return run(
        iter(demand.arrivals),
        service,
        choice.settings(base),
        choice.price,
        seed=demand.seed,
        until=max(demand.seconds, 1.0),
    )
