"""Pods and nodes second by second, as KEDA, the autoscaler and Karpenter move them: what the chart's settings come to.

Measures nothing: it computes. `python bench/scaling/simulate.py` compares it with what was recorded on real controllers
(`recorded.json`) under settings that were run there, and says what is expected of the chart's defaults.
Expected: within a tenth of the recorded node-seconds.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SYNC_SECONDS = 15  # between two looks of the autoscaler
# From a pod that is asked for to a node that is paid for, Karpenter's batching; from its launch to a pod that works:
# 30 to a node, 3 for images, 3 for eight agents that start on two cores. Eight pods, asked for at 6 s, worked at 44 s.
LAUNCH_SECONDS, READY_SECONDS = 2, 36
# An empty node is seen by a loop, looked at again, and drained.
LEAVE_SECONDS = 25


@dataclass(frozen=True)
class Settings:
    """In seconds: how long a task takes, pods stay warm, nodes stay without pods, and KEDA looks at the queue again.

    `looks_at` and `syncs_at` are the seconds of KEDA's first look and of the autoscaler's: nobody can choose them.
    """

    task: int = 12
    pods_stay: int = 60
    nodes_stay: int = 10
    queue_length: int = 1
    most_pods: int = 20
    poll: int = 2
    looks_at: int = 0
    syncs_at: int = 6


@dataclass
class Pod:
    """A pod on a node of its own. `busy_until` is 0 while it does nothing."""

    asked_at: int
    busy_until: int = 0
    told: bool = False

    def works(self, now: int) -> bool:
        """Whether its runtime is ready."""
        return now >= self.asked_at + LAUNCH_SECONDS + READY_SECONDS


@dataclass
class Run:
    """What came of it: nodes that are paid for at each second, and how long each task waited."""

    nodes: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    @property
    def node_seconds(self) -> int:
        """What all nodes cost together."""
        return sum(self.nodes)


def simulate(arrivals: Sequence[float], settings: Settings, seconds: int = 900) -> Run:
    """Run for so long; `arrivals` are seconds, in order."""
    run = Run()
    waiting: list[int] = []
    pods: list[Pod] = []
    leaving: list[int] = []  # when each node without a pod is gone
    wanted: list[tuple[int, int]] = []  # the autoscaler's own memory
    last_active = -1_000_000
    left = sorted(math.ceil(at) for at in arrivals)
    for now in range(seconds):
        while left and left[0] <= now:
            waiting.append(left.pop(0))
        for pod in pods:
            if pod.busy_until and pod.busy_until <= now:
                pod.busy_until = 0
            if not pod.busy_until and not pod.told and waiting and pod.works(now):
                run.waits.append(now - waiting.pop(0))
                pod.busy_until = now + settings.task
        tasks = len(waiting) + sum(1 for pod in pods if pod.busy_until)
        staying = [pod for pod in pods if not pod.told]
        target = len(staying)
        if now % settings.poll == settings.looks_at:
            if tasks:
                last_active = now
                target = max(1, target)
            elif now - last_active > settings.pods_stay:
                target = 0
        if now % SYNC_SECONDS == settings.syncs_at and target:
            desired = min(settings.most_pods, max(1, math.ceil(tasks / settings.queue_length)))
            wanted = [(at, pods_) for at, pods_ in wanted if now - at <= settings.pods_stay] + [(now, desired)]
            target = max(desired, min(target, max(count for _, count in wanted)))
        for pod in staying[target:] if target < len(staying) else []:
            pod.told = True
        pods += [Pod(now) for _ in range(target - len(staying))]
        gone = [pod for pod in pods if pod.told and not pod.busy_until]
        pods = [pod for pod in pods if pod not in gone]
        leaving = [at for at in leaving if at > now] + [now + settings.nodes_stay + LEAVE_SECONDS for _ in gone]
        # A pod that is asked for takes a node that has not gone yet, ready at once.
        for pod in pods:
            if pod.asked_at == now and leaving:
                leaving.pop()
                pod.asked_at = now - READY_SECONDS + 5
        run.nodes.append(sum(1 for pod in pods if now >= pod.asked_at + LAUNCH_SECONDS) + len(leaving))
    return run


def whenever_they_come(tasks: int, settings: Settings) -> list[Run]:
    """As many tasks at once, at every second between two looks of KEDA and of the autoscaler."""
    moments = itertools.product(range(settings.poll), range(SYNC_SECONDS))
    found = [replace(settings, looks_at=look, syncs_at=sync) for look, sync in moments]
    return [simulate([0.0] * tasks, each, seconds=400) for each in found]


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
    same = simulate(data["arrivals"], Settings(nodes_stay=30, poll=5))
    print(
        f"HPA in one step, nodes 30 s: recorded {node_seconds(changed):.0f} node-seconds, computed {same.node_seconds}"
    )
    now = simulate(data["arrivals"], Settings())
    print(
        f"60 mixed tasks of 12 s, the chart's defaults: {now.node_seconds} node-seconds, at most {max(now.nodes)} nodes"
    )
    for stay, poll in ((60, 5), (60, 2), (10, 2)):
        runs = whenever_they_come(8, Settings(task=6, pods_stay=stay, poll=poll))
        last = [max(run.waits) for run in runs]
        cost = [run.node_seconds for run in runs]
        print(
            f"8 tasks of 6 s, pods warm for {stay} s, a look every {poll} s: {min(cost)} to {max(cost)} node-seconds, "
            f"the last begins at {min(last)} to {max(last)} s, {statistics.mean(last):.1f} on average"
        )


if __name__ == "__main__":
    main()
