"""Runs that were recorded on real controllers, read back and simulated: whether the simulation can be believed.

A recording is a file of JSON lines: the settings first, then what happened, as tests/unit/planner/recordings has it.
When each controller looked is no setting, and nobody sets it: it is read off the steps of the recording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.deployment import behavior_of, karpenter_of
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Agent, Hpa, Keda, Nodes, Phases, Settings

# What the recorded cluster had that its settings do not say: the chart as it was then (no behavior of its own, nodes
# for 60 s, a tenth at once), agents that polled for 20 s, and everything on two cores. A container takes 3 s to start,
# and an agent a second of a core.
_CHART = {
    "queueLength": 1,
    "activationQueueLength": 0,
    "cooldownPeriod": 60,
    "minReplicaCount": 0,
    "maxReplicaCount": 20,
}
_DISRUPTION = {"consolidateAfter": "60s", "budgets": [{"nodes": "10%"}]}
_POLL, _CORES, _AGENT_START = 20.0, 2, 0.85
# After an agent's grace begins to run out, its task is given back so much before the end.
_BEFORE_THE_END = 10.0
# The state was noted once a second, a little later under load.
_NOTED_WITHIN = 1.05
# From a look to the first pod that is bound or told to stop for it.
_MOVED_WITHIN = 0.1
# What a task takes beside its own time.
_OVERHEAD = 0.07

Curve = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Recording:
    """What was recorded. `waits` in order of arrival; curves are (second, number) at each change."""

    name: str
    settings: Settings
    task_seconds: float
    arrivals: Sequence[float]
    waits: Sequence[float]
    depth: Curve
    replicas: Curve
    claims: Curve
    seconds: float

    @property
    def node_seconds(self) -> float:
        """What its nodes' claims lasted together."""
        return area(self.claims, self.seconds)


@dataclass(frozen=True)
class Comparison:
    """A recording beside its simulation."""

    recording: Recording
    outcome: Outcome

    @property
    def node_seconds_error(self) -> float:
        """By what share the simulation's node-seconds are off."""
        return self.outcome.node_seconds / self.recording.node_seconds - 1

    def waiting(self, share: float) -> tuple[float, float]:
        """That percentile of the waiting, recorded and simulated."""
        return exact_percentile(self.recording.waits, share), self.outcome.waits.percentile(share)

    def off(self, what: str, within: float) -> list[tuple[float, int, int]]:
        """Where the curve `what` is more than `within` seconds from the recorded one: (second, recorded, simulated)."""
        recorded: Curve = getattr(self.recording, what)
        return disagreement(recorded, getattr(self.outcome, what).changes, within, self.recording.seconds)


def read_recording(path: Path) -> Recording:
    """Read a recording. Raises `SettingsError` for a file that is none."""
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        said = rows[0]
        seen = [(row["t"], row["cluster"]) for row in rows if "cluster" in row]
        arrived = {row["arrival"]: float(row["t"]) for row in rows if "arrival" in row}
        began: dict[str, float] = {}
        for row in rows:
            if row.get("event") == "running" and "task" in row:
                began.setdefault(row["task"], float(row["t"]))
        curves = {key: _curve(seen, key) for key in ("visible", "replicas", "node_claims")}
        moved = [float(row["t"]) for row in rows if row.get("event") in ("bound", "deletion")]
        settings = _settings(said)
        settings = replace(settings, phases=_phases(curves, moved, settings))
        return Recording(
            path.stem,
            settings,
            float(said["task_seconds"]),
            list(arrived.values()),
            [began[task] - at for task, at in arrived.items() if task in began],
            curves["visible"],
            curves["replicas"],
            curves["node_claims"],
            seen[-1][0],
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SettingsError(
            f"{path} is no recording of a cluster ({error!r}): its form stands in "
            "tests/unit/planner/recordings/README.md"
        ) from None


def compare(recording: Recording, seed: int = 1) -> Comparison:
    """Simulate the same arrivals under the same settings."""
    work = Work(iter(recording.arrivals), repeat(recording.task_seconds + _OVERHEAD))
    return Comparison(recording, simulate(work, recording.settings, seed))


def _settings(said: Mapping[str, Any]) -> Settings:
    scaling = said["scaling"] if isinstance(said["scaling"], dict) else {}
    disruption = said["disruption"] if isinstance(said["disruption"], dict) else {}
    values = {**_CHART, **scaling}
    extra = scaling.get("extraHPAConfig")
    return Settings(
        keda=Keda(
            values["queueLength"],
            values["activationQueueLength"],
            float(scaling.get("pollingInterval", said.get("keda_poll_seconds", 5))),
            values["cooldownPeriod"],
            values["minReplicaCount"],
            values["maxReplicaCount"],
            count_in_flight=values.get("scaleOnInFlight", True),
        ),
        hpa=Hpa(behavior_of(extra) if extra else None, sync=float(said.get("hpa_sync_seconds", 15))),
        karpenter=karpenter_of({**_DISRUPTION, **disruption}),
        nodes=Nodes(
            boot=float(said["node_seconds_to_boot"]),
            image=0.0,
            container=float(said["image_pull_seconds"]),
            model=_AGENT_START,
            shared_cores=_CORES,
        ),
        agent=Agent(
            poll=float(said.get("receive_wait_seconds", _POLL)),
            grace=max(0.0, float(said["grace"][0]) - _BEFORE_THE_END),
        ),
    )


def _phases(curves: Mapping[str, Curve], moved: Sequence[float], settings: Settings) -> Phases:
    """When each controller looked, by the steps that could be seen: KEDA's from and to none, the autoscaler's others.

    `moved`: when pods were bound or told to stop.
    """
    steps = [(at, old, new) for (_, old), (at, new) in pairwise(curves["replicas"])]
    keda = [_looked(at, moved) for at, old, new in steps if not old or not new]
    wanted = [_looked(at, moved) for at, old, new in steps if old and new]
    fell = next((at for (_, old), (at, new) in pairwise(curves["node_claims"]) if new < old), 0.0)
    karpenter, hpa = settings.karpenter, settings.hpa
    before = fell - _NOTED_WITHIN / 2 - karpenter.validation - karpenter.leaving
    return Phases(
        _phase(keda, settings.keda.polling), _phase(wanted, hpa.sync + hpa.processing), before % karpenter.loop
    )


def _looked(noted: float, moved: Sequence[float]) -> tuple[float, float]:
    """Between which moments a controller looked whose step was noted then: at the first pod that it moved, if any."""
    first = min((at for at in moved if noted - _NOTED_WITHIN <= at <= noted), default=None)
    return (noted - _NOTED_WITHIN, noted) if first is None else (first - _MOVED_WITHIN, first)


def _phase(looks: Sequence[tuple[float, float]], period: float) -> float:
    """Where in its period a controller looks, so that as many of its looks as can be lie where they must."""
    slots = [slot * period / 1500 for slot in range(1500)]
    fits = [sum((end - slot) % period <= end - start for start, end in looks) for slot in slots]
    best = [slot for slot, count in zip(slots, fits, strict=True) if count == max(fits)]
    stretch = [slot for slot in best if slot - best[0] <= _NOTED_WITHIN]
    return stretch[len(stretch) // 2]


def _curve(seen: Sequence[tuple[float, Mapping[str, int]]], key: str) -> list[tuple[float, int]]:
    found: list[tuple[float, int]] = []
    for at, state in seen:
        if not found or found[-1][1] != state[key]:
            found.append((float(at), int(state[key])))
    return found


def area(curve: Curve, until: float) -> float:
    """The sum over time of a curve."""
    return sum((end - start) * number for (start, number), (end, _) in pairwise([*curve, (until, 0)]))


def value_at(curve: Curve, second: float) -> int:
    """What a curve was then; before its beginning, 0."""
    found = 0
    for at, number in curve:
        if at > second:
            break
        found = number
    return found


def disagreement(one: Curve, other: Curve, within: float, seconds: float) -> list[tuple[float, int, int]]:
    """Where `other` has, for `within` seconds before and after, no value on either side of which `one` lies."""
    found = []
    for second in range(int(seconds) + 1):
        low, high = second - within, second + within
        near = [value_at(other, low), *(number for at, number in other if low < at <= high)]
        here = value_at(one, second)
        if not min(near) <= here <= max(near):
            found.append((float(second), here, value_at(other, second)))
    return found


def exact_percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them are not above."""
    ordered = sorted(values)
    return ordered[max(0, -int(-(share * len(ordered)) // 1) - 1)]
