"""What really was, by the records of its tasks: how long they waited, and how long they had a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import SettingsError
from darkroom.planner.recording import exact_percentile
from darkroom.planner.usage import Used


@dataclass(frozen=True)
class Real:
    """Waiting in seconds, from a task's arrival to its start."""

    tasks: int
    p50: float
    p95: float
    device_hours: float

    def figures(self) -> dict[str, Any]:
        """For programs."""
        return {"tasks": self.tasks, "p50": self.p50, "p95": self.p95, "device_hours": round(self.device_hours, 4)}


def real_of(trace: Sequence[Used]) -> Real:
    """The figures of tasks that there were. Raises `SettingsError` where none says when it began."""
    waits = [one.started_at - one.created_at for one in trace if one.started_at is not None]
    if not waits:
        raise SettingsError("no task says when it began: records or the export need a column started_at")
    device = sum(one.device_seconds or 0.0 for one in trace)
    return Real(len(trace), exact_percentile(waits, 0.5), exact_percentile(waits, 0.95), device / 3600)
