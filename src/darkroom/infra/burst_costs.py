"""What each choice of `queueLength` costs for a burst of tasks: an estimate, in which nothing is warm at first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from darkroom.config.fit_rules import DEFAULT_MOST_PODS
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.infra.checks.gpu_nodes import gpu_demands, matching
from darkroom.infra.picture_costs import SECONDS_PER_PICTURE
from darkroom.infra.prices import GPU_PER_HOUR, PRICED_REGION
from darkroom.infra.template.partition import partition_facts
from darkroom.policy.scaling import Burst, Warmth, burst, queue_length

BURST = 20
# A GPU node boots in 45 to 90 s, pulls its image in 45 to 60, and its runtime loads a model in 15 to 50: of each the
# middle. Seen by others, as docs/scaling.md says; not measured by us.
START_SECONDS = 150.0
# The chart's own; a test holds them together.
DEFAULT_COOLDOWN_SECONDS = 60
DEFAULT_CONSOLIDATE_SECONDS = 10.0
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


def burst_estimates(config: DarkroomConfig, measured: Mapping[str, float] = _NOTHING) -> list[BurstEstimate]:
    """An estimate for each runtime whose pods are counted by its queue.

    `measured` are the seconds that a runtime's tasks took, for those of which config.yaml says nothing.
    """
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(PRICED_REGION))}
    estimates = []
    for runtime in config.models_runtime:
        if runtime.extra_value("runtime", "scaling", "enabled") is False or runtime.name not in demands:
            continue
        prices = [GPU_PER_HOUR[name] for name in matching(demands[runtime.name], GPU_PER_HOUR)]
        seconds = measured.get(runtime.name, SECONDS_PER_PICTURE)
        estimates.append(_estimate(runtime, min(prices) if prices else None, seconds))
    return estimates


def _estimate(runtime: RuntimeConfig, per_hour: float | None, seconds: float) -> BurstEstimate:
    if runtime.work_off is not None and runtime.work_off.task_seconds is not None:
        seconds = runtime.work_off.task_seconds
    chosen = runtime.scaling_value("queueLength", 1)
    warmth = Warmth(
        START_SECONDS,
        runtime.scaling_value("cooldownPeriod", DEFAULT_COOLDOWN_SECONDS),
        DEFAULT_CONSOLIDATE_SECONDS,
    )
    most = runtime.scaling_value("maxReplicaCount", DEFAULT_MOST_PODS)
    lengths = {1, chosen, _GUIDES_LENGTH, *(queue_length(within, seconds) for within in _WITHIN)}
    choices = []
    for length in sorted(lengths):
        found = burst(BURST, seconds, length, most, warmth)
        usd = None if per_hour is None else found.node_seconds / 3600 * per_hour
        choices.append(Choice(length, length == chosen, found, usd))
    return BurstEstimate(runtime.name, seconds, choices)
