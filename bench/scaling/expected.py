"""What the chart's settings come to on the cluster on which runs were recorded, by the planner's simulation.

Measures nothing: it computes. `python bench/scaling/expected.py` compares it with what was recorded on real controllers
(`recorded.json`) under settings that were run there, and says what is expected of the chart's defaults.
Expected: within 2 % of the recorded node-seconds.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from darkroom.config.fit_rules import DEFAULT_QUEUE_LENGTH
from darkroom.config.loader import parse_config
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.deployment import DEFAULT_COOLDOWN_SECONDS, DEFAULT_POLLING_SECONDS, settings_of
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Nodes, Phases

HERE = Path(__file__).parent
# There, an instance took 30 s, an image 3, and all agents started on two cores; 0.1 s of a task are not its own.
CLUSTER = Nodes(boot=30.0, image=0.0, container=3.0, model=0.85, shared_cores=2)
OVERHEAD = 0.1
# Where they were recorded, the autoscaler looked 6 s after the first task.
PHASES = Phases(1.0, 6.0, 2.0)
# And where sixty tasks were.
PHASES_OF_SIXTY = Phases(2.6, 0.1, 2.3)
# And the settings that the second run of them had.
AS_RECORDED: dict[str, Any] = {
    "cooldown": 60, "nodes_stay": 30.0, "queue_length": 1, "polling": 5, "phases": PHASES_OF_SIXTY,
}  # fmt: skip


def expected(
    arrivals: Sequence[float],
    task: float = 12.0,
    *,
    cooldown: int = DEFAULT_COOLDOWN_SECONDS,
    nodes_stay: float = 10.0,
    queue_length: int = DEFAULT_QUEUE_LENGTH,
    polling: int = DEFAULT_POLLING_SECONDS,
    phases: Phases = PHASES,
) -> Outcome:
    """Run until the last node is gone."""
    scaling = f"{{cooldownPeriod: {cooldown}, queueLength: {queue_length}, pollingInterval: {polling}}}"
    config = parse_config(
        f"modelsRuntime: [{{name: a, type: sdwebui, extraValues: {{runtime: {{scaling: {scaling}}}}}}}]"
    )
    settings = replace(settings_of(config, config.models_runtime[0], CLUSTER), phases=phases)
    settings = replace(settings, karpenter=replace(settings.karpenter, consolidate_after=nodes_stay))
    return simulate(Work(iter([float(at) for at in arrivals]), repeat(task + OVERHEAD)), settings)


def recorded() -> dict[str, Any]:
    """The arrivals, and for each recorded run its settings and its nodes as [second, number] where that changed."""
    found: dict[str, Any] = json.loads((HERE / "recorded.json").read_text())
    return found


def node_seconds(steps: Sequence[Sequence[float]]) -> float:
    """What nodes cost that are as many as `steps` say."""
    return sum((end - start) * count for (start, count), (end, _) in itertools.pairwise(steps))


def main() -> None:
    """Compare, and say what is expected."""
    data = recorded()
    changed = data["runs"]["changed"]
    same = expected(data["arrivals"], **AS_RECORDED)
    seen, computed = node_seconds(changed), same.node_seconds
    print(f"HPA in one step, nodes 30 s: recorded {seen:.0f} node-seconds, computed {computed:.0f}")
    now = expected(data["arrivals"])
    print(f"60 mixed tasks of 12 s, the defaults: {now.node_seconds:.0f} node-seconds, at most {now.claims.most} nodes")
    for label, found in eight_tasks().items():
        print(
            f"8 tasks of 6 s, {label}: {found.node_seconds:.0f} node-seconds, the last ends at {last_end(found):.0f} s"
        )
    print(f"whenever they come, the last {said_of_all(whenever_they_come())}")


def eight_tasks() -> dict[str, Outcome]:
    """Eight tasks of 6 s at once, by the names that docs/scaling.md has for the settings."""
    return {
        "the defaults (expected)": expected([0.0] * 8, 6.0),
        "and `cooldownPeriod: 10` (expected)": expected([0.0] * 8, 6.0, cooldown=10),
        "the defaults and `queueLength: 1` (expected)": expected([0.0] * 8, 6.0, queue_length=1),
    }


def whenever_they_come() -> list[float]:
    """When the last of eight tasks at once begins, for every second between two looks of KEDA and of the autoscaler.

    Each has a pod of its own.
    """
    moments = itertools.product(range(DEFAULT_POLLING_SECONDS), range(15))
    runs = [
        expected([0.0] * 8, 6.0, queue_length=1, phases=Phases(float(look), float(sync), 2.0)) for look, sync in moments
    ]
    return [run.waits.percentile(1.0) for run in runs]


def said_of_all(begins: Sequence[float]) -> str:
    """The same in words, as docs/scaling.md has them."""
    mean = sum(begins) / len(begins)
    return f"begins between {min(begins):.0f} and {max(begins):.0f} s after it came, at {mean:.1f} s on average"


def last_end(found: Outcome) -> float:
    """When the last task ended, for tasks that came at 0."""
    return found.totals.percentile(1.0)


if __name__ == "__main__":
    main()
