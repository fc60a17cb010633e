"""Karpenter, as far as it makes nodes for pods that find none and takes away those that are empty.

Read at kubernetes-sigs/karpenter, pkg/controllers/{provisioning,disruption,nodeclaim}; the waits are in `Karpenter`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from functools import partial

from darkroom.planner.simulation.parts import Agenda, Node, Pod
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Budget, Settings

_BILLED_AT_LEAST = 60.0
_FREE_WITHIN = 3600.0


class Pool:
    """One pool of nodes. `ready` is called with each node that can take pods, `interrupted` with one that EC2 wants."""

    def __init__(
        self,
        settings: Settings,
        agenda: Agenda,
        outcome: Outcome,
        chance: random.Random,
        waiting: Callable[[], int],
        ready: Callable[[float, Node], None],
        interrupted: Callable[[float, Node], None],
    ) -> None:
        self._settings = settings
        self._karpenter = settings.karpenter
        self._agenda = agenda
        self._outcome = outcome
        self._chance = chance
        self._waiting = waiting
        self._ready = ready
        self._interrupted = interrupted
        self.nodes: set[Node] = set()
        self.free: dict[Node, None] = {}
        self._launching_room = 0
        self._batch_since: float | None = None
        self._batch_version = 0
        self._spot_hidden_until = 0.0
        self._loop_runs = False
        self._next_look = settings.phases.karpenter

    # The way up

    def pod_waits(self, now: float) -> None:
        """A pod was found to have no node: the batch waits for more of them, but not for long."""
        karpenter = self._karpenter
        if self._batch_since is None:
            self._batch_since = now
        self._batch_version += 1
        closes = min(now + karpenter.batch_idle, self._batch_since + karpenter.batch_most)
        self._agenda.put(closes, partial(self._close_batch, self._batch_version))

    def _close_batch(self, version: int, now: float) -> None:
        if version != self._batch_version:
            return
        self._batch_since = None
        self._batch_version += 1
        karpenter = self._karpenter
        lacking = self._waiting() - self._launching_room
        while lacking > 0 and (karpenter.limit is None or (len(self.nodes) + 1) * karpenter.gpus <= karpenter.limit):
            lacking -= karpenter.gpus
            self._launch(now)
        if lacking > 0:  # a node that leaves makes room for another one
            self._agenda.put(now + karpenter.again, self._pod_still_waits)

    def _pod_still_waits(self, now: float) -> None:
        if self._batch_since is None and self._waiting() > self._launching_room:
            self.pod_waits(now)

    def _launch(self, now: float) -> None:
        spot = self._settings.spot
        wants_spot = self._chance.random() < spot.share if 0 < spot.share < 1 else spot.share > 0
        if wants_spot and (now < self._spot_hidden_until or self._is_refused(now)):
            if not spot.fallback:
                self._outcome.launches_refused += 1
                # The claim is deleted, and its pod tried again.
                self._agenda.put(now + self._karpenter.again, self._pod_still_waits)
                return
            wants_spot = False
            self._outcome.launches_refused += 1
        node = Node(now, wants_spot, self._karpenter.gpus)
        self.nodes.add(node)
        self._launching_room += node.room
        self._outcome.nodes_launched += 1
        self._outcome.claims.put(now, len(self.nodes))
        boot = self.strayed(self._settings.nodes.boot)
        self._agenda.put(now + self._karpenter.launch + boot, partial(self._is_up, node))

    def _is_refused(self, now: float) -> bool:
        spot = self._settings.spot
        if spot.no_capacity and self._chance.random() < spot.no_capacity:
            self._spot_hidden_until = now + spot.hidden
            return True
        return False

    def strayed(self, seconds: float) -> float:
        """A time as it may come out."""
        spread = self._settings.nodes.spread
        return seconds * (1 + spread * (2 * self._chance.random() - 1)) if spread else seconds

    def _is_up(self, node: Node, now: float) -> None:
        node.is_ready = True
        node.last_event = now
        self._launching_room -= node.room
        self.free[node] = None
        hazard = self._settings.spot.hazard
        if node.spot and hazard:
            self._agenda.put(now + self._chance.expovariate(hazard / 3600), partial(self._is_wanted_back, node))
        self._ready(now, node)
        self._run_loop(now)

    # What pods do

    def take(self, now: float, pod: Pod) -> bool:
        """Put the pod onto a node that has room. False where none has."""
        node = next(iter(self.free), None)
        if node is None:
            return False
        pod.node = node
        node.pods.add(pod)
        node.room -= 1
        if not node.room:
            del self.free[node]
        node.event(now, self._karpenter.event_dedupe)
        return True

    def pod_told(self, now: float, node: Node) -> None:
        """A pod of this node was told to stop."""
        node.event(now, self._karpenter.event_dedupe)
        self._run_loop(now)

    def pod_gone(self, now: float, pod: Pod, node: Node) -> None:
        """A pod has ended: its room is free, or its node can go on leaving."""
        node.pods.discard(pod)
        node.room += 1
        if node.drains:
            if not node.pods:
                self._drained(now, node)
        else:
            self.free[node] = None

    # The way down

    def _run_loop(self, now: float) -> None:
        """The loop looks again at its next turn, where it does not run already. Without nodes it has nothing to do."""
        if self._loop_runs or self._karpenter.consolidate_after is None:
            return
        self._loop_runs = True
        loop = self._karpenter.loop
        if self._next_look < now:
            self._next_look += math.ceil((now - self._next_look) / loop) * loop
        self._agenda.put(self._next_look, self._look)

    def _look(self, now: float) -> None:
        loop = self._karpenter.loop
        self._next_look = now + loop
        if not any(node.is_empty and node.is_ready for node in self.nodes):
            # It would look at nothing until a pod is told to go or a node comes: it is woken in step then.
            self._loop_runs = False
            return
        found = self._empty(now)[: self._allowed()]
        if found:
            self._agenda.put(now + self._karpenter.validation, partial(self._validate, found))
        else:
            self._agenda.put(self._next_look, self._look)

    def _empty(self, now: float) -> list[Node]:
        after = self._karpenter.consolidate_after or 0.0
        found = [
            node
            for node in self.nodes
            if now - node.last_event >= after and node.is_ready and not node.drains and node.is_empty
        ]
        # Which of them go first nobody promises; the oldest is as good as any, and repeats.
        return sorted(found, key=lambda node: node.claimed)

    def _allowed(self) -> int:
        ready = sum(1 for node in self.nodes if node.is_ready)
        leaving = sum(1 for node in self.nodes if node.drains)
        return max(0, min((_allows(budget, ready) for budget in self._karpenter.budgets), default=ready) - leaving)

    def _validate(self, found: Iterable[Node], now: float) -> None:
        """What is still empty goes; on what has a pod by now, nothing is done."""
        for node in found:
            if node.is_empty and not node.drains:
                self._drain(now, node)
        self._agenda.put(now + self._karpenter.round_overhead, self._look)

    def _drain(self, now: float, node: Node) -> None:
        node.drains = True
        self.free.pop(node, None)
        if not node.pods:
            self._drained(now, node)

    def _drained(self, now: float, node: Node) -> None:
        gone = now + self._karpenter.leaving
        # A node that EC2 wants back is not waited for.
        self._agenda.put(min(gone, node.gone_at) if node.gone_at else gone, partial(self._gone, node))

    def _is_wanted_back(self, node: Node, now: float) -> None:
        if node not in self.nodes or node.drains:
            return
        self._outcome.interruptions += 1
        node.gone_at = now + self._settings.spot.notice
        self._agenda.put(node.gone_at, partial(self._gone, node))
        node.drains = True
        self.free.pop(node, None)
        self._interrupted(now, node)
        if not node.pods:
            self._drained(now, node)

    def _gone(self, node: Node, now: float) -> None:
        if node not in self.nodes:
            return
        self.nodes.discard(node)
        self._outcome.claims.put(now, len(self.nodes))
        self.bill(now, node)
        if node.gone_at and now >= node.gone_at and now - node.claimed < _FREE_WITHIN:
            # EC2 took it itself; what Karpenter has ended before, since it was drained, is paid.
            self._outcome.free_seconds += max(now - node.claimed, _BILLED_AT_LEAST)

    def close(self, now: float) -> None:
        """Nodes that are still there are paid until now."""
        for node in self.nodes:
            self.bill(now, node)

    def bill(self, now: float, node: Node) -> None:
        """Add what the node cost until now."""
        seconds = now - node.claimed
        self._outcome.node_seconds += seconds
        billed = max(seconds, _BILLED_AT_LEAST)
        self._outcome.billed_seconds += billed
        if node.spot:
            self._outcome.spot_seconds += billed


def _allows(budget: Budget, nodes: int) -> int:
    if budget.number is not None:
        return budget.number
    return math.ceil((1.0 if budget.share is None else budget.share) * nodes - 1e-9)
