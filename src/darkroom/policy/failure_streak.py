"""When a runtime that keeps failing must be restarted, where its adapter has no canary to tell."""

from __future__ import annotations

# One task that the runtime cannot stomach fails on each of its tries, so a streak needs two tasks to tell.
FAILURES_IN_A_ROW = 3
TASKS_IN_A_ROW = 2


class FailureStreak:
    """Counts failures of a runtime's own that no success came between."""

    def __init__(self) -> None:
        self._tasks: list[str] = []
        self._last = ""

    def record_failure(self, submission_id: str, reason: str) -> None:
        """A task failed, and it does not look like the task's own fault."""
        self._tasks.append(submission_id)
        self._last = reason

    def reset(self) -> None:
        """The runtime did something right, or was restarted."""
        self._tasks.clear()

    @property
    def fault(self) -> str | None:
        """Why the runtime must be restarted, or None."""
        if len(self._tasks) < FAILURES_IN_A_ROW or len(set(self._tasks)) < TASKS_IN_A_ROW:
            return None
        return f"the runtime failed {len(self._tasks)} times in a row, last: {self._last}"
