"""What a chaos run has shown."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.plan import ChaosPlan


@dataclass
class ChaosReport:
    """What a run has shown. `broken` is empty when every promise held."""

    plan: ChaosPlan
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    notifications: int = 0
    letters: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    aws: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

        lines = [
            f"chaos: seed {self.plan.seed}, {self.plan.tasks} tasks, {self.plan.agents} agents, {self.seconds:.0f} s",
            f"  heard {self.notifications} notifications; {self.letters} dead letters",
            f"  agents and runtimes: {listed(self.counts)}",
            f"  AWS, of {self.requests} requests: {listed(self.aws)}",
            *(f"  BROKEN: {promise}" for promise in self.broken),
        ]
        return "\n".join(lines if self.broken else [*lines, "  every promise held"])


def logged_faults(folder: Path) -> list[str]:
    """What agents logged with a traceback: an error that nobody has foreseen."""
    found = []
    for path in sorted(folder.glob("agent-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if "Traceback (most recent call last)" in line:
                found.append(f"{path.name}: {_last_line(line)}")
    return found


def logged_interruptions(folder: Path) -> list[str]:
    """Generations that agents found to be interrupted by somebody who was not themselves."""
    found = []
    for path in sorted(folder.glob("agent-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if "somebody interrupted the generation" in line:
                found.append(f"{path.name}: {line[:300]}")
    return found


def _last_line(line: str) -> str:
    with contextlib.suppress(ValueError):
        document = json.loads(line)
        return " | ".join(str(value).strip().splitlines()[-1] for value in document.values() if str(value).strip())[
            -600:
        ]
    return line[:200]
