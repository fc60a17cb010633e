"""Agents that start side by side on few cores take longer, each by its share: processor sharing.

On a cluster each agent has its node's own cores. This is for runs that were recorded on one machine.
"""

from __future__ import annotations

from functools import partial

from darkroom.planner.simulation.parts import Agenda, Happening


class SharedCores:
    """`cores` shared by whatever runs; each has at most one of them to itself."""

    def __init__(self, cores: int, agenda: Agenda) -> None:
        self._cores = cores
        self._agenda = agenda
        self._left: list[tuple[float, Happening]] = []
        self._looked = 0.0
        self._version = 0

    def run(self, now: float, work: float, then: Happening) -> None:
        """Do `work` seconds of one core's work, and then `then`."""
        self._advance(now)
        self._left.append((work, then))
        self._plan(now)

    def _advance(self, now: float) -> None:
        done = (now - self._looked) * self._rate
        self._left = [(left - done, then) for left, then in self._left]
        self._looked = now

    @property
    def _rate(self) -> float:
        return min(1.0, self._cores / len(self._left)) if self._left else 1.0

    def _plan(self, now: float) -> None:
        self._version += 1
        if self._left:
            soonest = min(left for left, _ in self._left)
            self._agenda.put(now + max(0.0, soonest) / self._rate, partial(self._look, self._version))

    def _look(self, version: int, now: float) -> None:
        if version != self._version:
            return
        self._advance(now)
        ready = [then for left, then in self._left if left <= 1e-9]
        self._left = [(left, then) for left, then in self._left if left > 1e-9]
        self._plan(now)
        for then in ready:
            then(now)
