"""A pool of nodes with the runtimes whose pods go to it: one, or several that see each other's nodes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from darkroom.planner.simulation.nodes import Pool
from darkroom.planner.simulation.parts import Agenda, Node
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Settings


class Member(Protocol):
    """One runtime, as its nodes see it."""

    @property
    def pending(self) -> int:
        """How many of its pods wait for a node."""

    @property
    def oldest_pending(self) -> float:
        """When the first of them was made."""

    def bind_one(self, now: float) -> bool:
        """That one goes to a node with room; False where none has."""

    def node_interrupted(self, now: float, node: Node) -> None:
        """EC2 wants the node back."""


@dataclass
class SharedPool:
    """Nodes that several runtimes use: whose pods wait, and who is told of a node. `outcome` is that of the nodes."""

    settings: Settings
    seed: int
    agenda: Agenda = field(default_factory=Agenda)
    outcome: Outcome = field(default_factory=Outcome)
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311
        self.pool = Pool(
            self.settings, self.agenda, self.outcome, self.chance, self._waiting, self.bind, self._interrupted
        )

    def _waiting(self) -> int:
        return sum(member.pending for member in self.members)

    def bind(self, now: float, _: Node | None = None) -> None:
        """Pods that wait go to nodes with room, the oldest first, whosever they are."""
        while waiting := [member for member in self.members if member.pending]:
            if not min(waiting, key=lambda member: member.oldest_pending).bind_one(now):
                return

    def _interrupted(self, now: float, node: Node) -> None:
        for member in self.members:
            member.node_interrupted(now, node)
