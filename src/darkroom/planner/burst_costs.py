"""What each choice of `queueLength` costs for a burst of tasks: an estimate, in which nothing is warm at first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from darkroom.config.fit_rules import DEFAULT_MOST_PODS, DEFAULT_QUEUE_LENGTH
from darkroom.config.gpu_demand import gpu_demands
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.partition import partition_facts
from darkroom.planner.gpu_prices import cheapest_type, priced_types
from darkroom.planner.prices import Prices
from darkroom.planner.simulation.deployment import (
    DEFAULT_CONSOLIDATE_SECONDS,
    DEFAULT_COOLDOWN_SECONDS,
    start_seconds,
)
from darkroom.planner.workload import Workload
from darkroom.policy.scaling import Burst, Warmth, burst, queue_length

BURST = 20
_WITHIN = (60, 300)
_GUIDES_LENGTH = 10
_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Choice:
    """One line of the estimate; `usd` is None where no price is known here. `is_chosen`: config.yaml says so."""

    queue_length: int
    is_chosen: bool
    found: Burst
    usd: float | None


@dataclass(frozen=True)
class BurstEstimate:
    """What a burst of `BURST` tasks, of `task_seconds` each, costs one runtime."""

    runtime: str
    task_seconds: float
    choices: list[Choice]


def burst_estimates(
    config: DarkroomConfig, prices: Prices, measured: Mapping[str, float] = _NOTHING
) -> list[BurstEstimate]:
    """An estimate for each runtime whose pods are counted by its queue.

    `measured` are the seconds that a runtime's tasks took, for those of which config.yaml says nothing.
    """
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(prices.region))}
    estimates = []
    for runtime in config.models_runtime:
        if runtime.extra_value("runtime", "scaling", "enabled") is False or runtime.name not in demands:
            continue
        kind = cheapest_type(demands[runtime.name], prices, spot=False)
        per_hour = prices.hour(kind) if kind in priced_types(prices, spot=False) else None
        estimates.append(_estimate(runtime, per_hour, measured.get(runtime.name, Workload().seconds)))
    return estimates


def warmth_of(runtime: RuntimeConfig) -> Warmth:
    """How long this runtime's pods and nodes take to come and to go."""
    cooldown = runtime.scaling_value("cooldownPeriod", DEFAULT_COOLDOWN_SECONDS)
    return Warmth(start_seconds(), cooldown, DEFAULT_CONSOLIDATE_SECONDS)


def _estimate(runtime: RuntimeConfig, per_hour: float | None, seconds: float) -> BurstEstimate:
    if runtime.work_off is not None and runtime.work_off.task_seconds is not None:
        seconds = runtime.work_off.task_seconds
    chosen = runtime.scaling_value("queueLength", DEFAULT_QUEUE_LENGTH)
    most = runtime.scaling_value("maxReplicaCount", DEFAULT_MOST_PODS)
    lengths = {1, chosen, _GUIDES_LENGTH, *(queue_length(within, seconds) for within in _WITHIN)}
    choices = []
    for length in sorted(lengths):
        found = burst(BURST, seconds, length, most, warmth_of(runtime))
        usd = None if per_hour is None else found.node_seconds / 3600 * per_hour
        choices.append(Choice(length, length == chosen, found, usd))
    return BurstEstimate(runtime.name, seconds, choices)
