"""How long things take, from what was seen: when to fetch the next message so that it is ready just in time."""

from __future__ import annotations

# A new observation counts for this much: half of what is known was learned from the last two or three.
_WEIGHT_OF_THE_NEWEST = 0.3
_FIRST_GUESS_OF_LEAD_SECONDS = 0.5
_MARGIN = 1.5
_LONGEST_QUEUE = 10


class Pace:
    """Running estimates, in seconds: of a run on the device, and of the lead from asking for a message to its start."""

    def __init__(self) -> None:
        self._run_seconds: float | None = None
        self._lead_seconds: float | None = None

    def observe_run(self, seconds: float) -> None:
        """Learn how long a task occupied the device."""
        self._run_seconds = _blend(self._run_seconds, seconds)

    def observe_lead(self, seconds: float) -> None:
        """Learn how long a message took from being received to being ready to run."""
        self._lead_seconds = _blend(self._lead_seconds, seconds)

    @property
    def lead_seconds(self) -> float:
        """How long before the device falls idle the next message should be asked for."""
        lead = _FIRST_GUESS_OF_LEAD_SECONDS if self._lead_seconds is None else self._lead_seconds
        return lead * _MARGIN + 0.02

    def seconds_until_fetch(self, elapsed_seconds: float) -> float | None:
        """How long to wait before asking for a message, when the task on the device has run for `elapsed_seconds`.

        None when nothing is known yet: then the next message is asked for when the device is idle, so that it does not
        wait here while another agent could begin it.
        """
        if self._run_seconds is None:
            return None
        return max(0.0, self._run_seconds - elapsed_seconds - self.lead_seconds)

    @property
    def wanted_waiting(self) -> int:
        """How many tasks should wait, ready or getting ready, beside the one that runs.

        One, unless tasks are shorter than the lead: then as many as run in that time.
        """
        if not self._run_seconds:
            return 1
        return max(1, min(_LONGEST_QUEUE, 1 + int(self.lead_seconds / self._run_seconds)))

    @property
    def patience_seconds(self) -> float:
        """How long a task may wait here for the device before another agent should have it."""
        return 1.0 + 2 * self.lead_seconds


def _blend(known: float | None, newest: float) -> float:
    return newest if known is None else known + _WEIGHT_OF_THE_NEWEST * (newest - known)
