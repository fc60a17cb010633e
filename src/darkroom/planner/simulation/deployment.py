"""The simulation's settings for one runtime of a config.yaml: the chart's defaults, and what is said over them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from darkroom.config.fit_rules import DEFAULT_MOST_PODS, DEFAULT_QUEUE_LENGTH
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.errors import SettingsError
from darkroom.planner.simulation.settings import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Agent,
    Behavior,
    Budget,
    Hpa,
    Karpenter,
    Keda,
    Nodes,
    Policy,
    Rules,
    Settings,
)

# The chart's own; a test holds them together.
DEFAULT_COOLDOWN_SECONDS = 120
DEFAULT_POLLING_SECONDS = 2
DEFAULT_CONSOLIDATE_SECONDS = 10.0
DEFAULT_MOST_GPUS = 100
DEFAULT_BUDGETS: list[dict[str, Any]] = [
    {"nodes": "100%", "reasons": ["Empty"]},
    {"nodes": "10%", "reasons": ["Drifted", "Underutilized"]},
]
_WEEK = 168
_CRON = re.compile(r"0 (\d{1,2}) \* \* (?:\*|(\d(?:-\d)?))")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def start_seconds(nodes: Nodes | None = None) -> float:
    """From a pod that is asked for to its first task, where nothing is warm."""
    nodes = nodes or Nodes()
    return nodes.boot + nodes.image + nodes.container + nodes.model


def settings_of(config: DarkroomConfig, runtime: RuntimeConfig, nodes: Nodes | None = None) -> Settings:
    """The settings of one runtime. `nodes` are the times that no file says."""
    cooldown = runtime.scaling_value("cooldownPeriod", DEFAULT_COOLDOWN_SECONDS)
    most = runtime.scaling_value("maxReplicaCount", DEFAULT_MOST_PODS)
    in_flight = runtime.extra_value("runtime", "scaling", "scaleOnInFlight")
    keda = Keda(
        queue_length=runtime.scaling_value("queueLength", DEFAULT_QUEUE_LENGTH),
        activation=runtime.scaling_value("activationQueueLength", 0),
        polling=runtime.scaling_value("pollingInterval", DEFAULT_POLLING_SECONDS),
        cooldown=cooldown,
        minimum=runtime.scaling_value("minReplicaCount", 0),
        maximum=most,
        count_in_flight=in_flight is not False,
    )
    schedules = runtime.extra_value("runtime", "scaling", "schedules") or []
    provisioner = config.node_values_of(runtime).get("provisioner") or {}
    said = runtime.extra_value("runtime", "scaling", "extraHPAConfig") or {}
    return Settings(
        keda=keda,
        hpa=Hpa(chart_behavior(most, cooldown, said)),
        karpenter=replace(karpenter_of(provisioner.get("disruption") or {}), limit=_most_gpus(provisioner)),
        nodes=nodes or Nodes(),
        agent=Agent(grace=float(runtime.task_timeout_seconds)),
        schedule=weekly(schedules),
    )


def _most_gpus(provisioner: Mapping[str, Any]) -> int:
    """How many GPUs all nodes may have together; the chart's own number where a pool says nothing of it."""
    said = (provisioner.get("resourceLimits") or {}).get("nvidia.com/gpu", DEFAULT_MOST_GPUS)
    return int(said)


def weekly(schedules: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """The fewest pods for each hour of a week that begins on Monday; empty without schedules.

    Raises `SettingsError` for one that is not of whole hours on days of the week: no other is simulated.
    """
    if not schedules:
        return ()
    hours = [0] * _WEEK
    for entry in schedules:
        start, end = _CRON.fullmatch(entry["start"]), _CRON.fullmatch(entry["end"])
        if start is None or end is None or start[2] != end[2] or int(start[1]) >= int(end[1]):
            raise SettingsError(
                f"the schedule from {entry['start']!r} to {entry['end']!r} cannot be simulated: only whole hours of "
                'one day on days of the week can, as "0 8 * * 1-5" to "0 18 * * 1-5"'
            )
        first, _, last = (start[2] or "0-6").partition("-")
        for day in range(int(first), int(last or first) + 1):
            # Cron's week begins on Sunday, which is 0 or 7.
            monday = (day - 1) % 7
            for hour in range(int(start[1]), int(end[1])):
                hours[monday * 24 + hour] = max(hours[monday * 24 + hour], int(entry["replicas"]))
    return tuple(hours)


def chart_behavior(most: int, cooldown: float, said: Mapping[str, Any]) -> Behavior:
    """The chart's `behavior` with `extraHPAConfig` over it: up in one step, down by what was wanted in `cooldown`."""
    every = {"type": "Percent", "value": 100, "periodSeconds": 15}
    up = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": most, "periodSeconds": 15}]}
    down = {"stabilizationWindowSeconds": min(3600, int(cooldown)), "policies": [every]}
    return behavior_of(
        {"scaleUp": {**up, **said.get("scaleUp", {})}, "scaleDown": {**down, **said.get("scaleDown", {})}}
    )


def behavior_of(said: Mapping[str, Any]) -> Behavior:
    """A `behavior` as Kubernetes has it, with its defaults for what is left out."""
    return Behavior(_rules(said.get("scaleUp") or {}, DEFAULT_UP), _rules(said.get("scaleDown") or {}, DEFAULT_DOWN))


def _rules(said: Mapping[str, Any], default: Rules) -> Rules:
    policies = said.get("policies")
    return Rules(
        window=float(said.get("stabilizationWindowSeconds", default.window)),
        policies=default.policies
        if not policies
        else tuple(Policy(entry["type"], int(entry["value"]), float(entry["periodSeconds"])) for entry in policies),
        select=said.get("selectPolicy", default.select),
        tolerance=float(said.get("tolerance", default.tolerance)),
    )


def karpenter_of(said: Mapping[str, Any]) -> Karpenter:
    """A NodePool's `disruption`, over the chart's."""
    after = said.get("consolidateAfter", f"{DEFAULT_CONSOLIDATE_SECONDS:g}s")
    budgets = [found for entry in said.get("budgets", DEFAULT_BUDGETS) if (found := _budget(entry))]
    return Karpenter(consolidate_after=None if after == "Never" else seconds_of(after), budgets=tuple(budgets))


def _budget(entry: Mapping[str, Any]) -> Budget | None:
    """A budget that holds for empty nodes at any time; None for another one."""
    if "Empty" not in (entry.get("reasons") or ["Empty"]) or entry.get("schedule"):
        return None
    nodes = str(entry["nodes"])
    if nodes.endswith("%"):
        return Budget(share=float(nodes[:-1]) / 100)
    return Budget(share=None, number=int(nodes))


def seconds_of(text: str) -> float:
    """A duration as Kubernetes writes it: 1h30m, 10s."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(ms|h|m|s)", text))
