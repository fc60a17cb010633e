"""How long things take, from what was seen: when to fetch the next message so that it is ready just in time."""

from __future__ import annotations

# A new observation counts for this much: half of what is known was learned from the last two or three.
_WEIGHT_OF_THE_NEWEST = 0.3
_FIRST_GUESS_OF_LEAD_SECONDS = 0.5
_MARGIN = 1.5
_SLACK_SECONDS = 0.02
_PATIENCE_SECONDS = 1.0
_LONGEST_ASKING_SECONDS = 1.0
_WEIGHT_OF_A_LONGER_POLL = 0.05
_LONGEST_QUEUE = 10
# A message that takes so many times as long as others to get ready is late, between these bounds.
_LATE = 3.0
_SHORTEST_PATIENCE_SECONDS = 0.3
_LONGEST_PATIENCE_SECONDS = 2.0


class Pace:
    """Running estimates, in seconds: of a run on the device, and of the lead from asking for a message to its start.

    The lead is that of a message which was already there: asking for it, and getting it ready.
    """

    def __init__(self) -> None:
        self._run_seconds: float | None = None
        self._reported_run_seconds: float | None = None
        self._asking_seconds: float | None = None
        self._preparing_seconds: float | None = None

    def observe_run(self, seconds: float) -> None:
        """Learn how long a task occupied the device."""
        self._run_seconds = _blend(self._run_seconds, seconds)

    @property
    def run_seconds(self) -> float | None:
        """How long a task occupies the device, as far as was seen."""
        return self._run_seconds

    def observe_asking(self, seconds: float) -> None:
        """Learn how long it took to receive a message.

        A poll may also have waited for a message to come back to the queue, so what is short counts for more.
        """
        if self._asking_seconds is None or seconds < self._asking_seconds:
            self._asking_seconds = min(seconds, _LONGEST_ASKING_SECONDS)
        else:
            self._asking_seconds += _WEIGHT_OF_A_LONGER_POLL * (
                min(seconds, _LONGEST_ASKING_SECONDS) - self._asking_seconds
            )

    def observe_preparing(self, seconds: float) -> None:
        """Learn how long a message took from being received to being ready to run.

        One that was late says little of the next one.
        """
        self._preparing_seconds = _blend(self._preparing_seconds, min(seconds, self.patience_seconds))

    @property
    def patience_seconds(self) -> float:
        """How long a message may take to get ready before it is late, and is waited for no longer."""
        usual = _FIRST_GUESS_OF_LEAD_SECONDS if self._preparing_seconds is None else self._preparing_seconds
        return min(_LONGEST_PATIENCE_SECONDS, max(_SHORTEST_PATIENCE_SECONDS, _LATE * usual))

    @property
    def lead_seconds(self) -> float:
        """How long before the device falls idle the next message should be asked for."""
        if self._asking_seconds is None or self._preparing_seconds is None:
            return _FIRST_GUESS_OF_LEAD_SECONDS
        return _MARGIN * (self._asking_seconds + self._preparing_seconds) + _SLACK_SECONDS

    def progress_reported(self, elapsed_seconds: float, remaining_seconds: float | None) -> None:
        """Take the runtime's own word for how long the running task will have taken, until it ends."""
        if remaining_seconds is not None:
            self._reported_run_seconds = elapsed_seconds + remaining_seconds

    def run_ended(self) -> None:
        """Forget what was reported: it was about a task that has ended."""
        self._reported_run_seconds = None

    def remaining_seconds(self, elapsed_seconds: float) -> float | None:
        """When the task that has run for `elapsed_seconds` ends, most likely; None where that is not known.

        It is not known of the first task, nor of one that takes much longer than those before.
        """
        if self._expected_run_seconds is None or self.is_overdue(elapsed_seconds):
            return None
        return max(0.0, self._expected_run_seconds - elapsed_seconds)

    def is_overdue(self, elapsed_seconds: float) -> bool:
        """Whether the running task takes so much longer than expected that nothing should wait for its end."""
        until = self.seconds_until_overdue(elapsed_seconds)
        return until is not None and until <= 0

    def seconds_until_overdue(self, elapsed_seconds: float) -> float | None:
        """How long until the running task is overdue; None where nothing is expected of it."""
        if self._expected_run_seconds is None:
            return None
        return self._expected_run_seconds + _PATIENCE_SECONDS + 2 * self.lead_seconds - elapsed_seconds

    @property
    def _expected_run_seconds(self) -> float | None:
        return self._run_seconds if self._reported_run_seconds is None else self._reported_run_seconds

    def seconds_until_fetch(self, elapsed_seconds: float) -> float | None:
        """How long to wait before asking for a message, when the task on the device has run for `elapsed_seconds`.

        None when its end is not known: then the next message is asked for when the device is idle, so that it does not
        wait here while another agent could begin it.
        """
        remaining = self.remaining_seconds(elapsed_seconds)
        return None if remaining is None else max(0.0, remaining - self.lead_seconds)

    @property
    def wanted_waiting(self) -> int:
        """How many tasks should wait, ready or getting ready, beside the one that runs.

        One, unless tasks are shorter than the lead: then as many as run in that time.
        """
        if not self._run_seconds:
            return 1
        return max(1, min(_LONGEST_QUEUE, 1 + int(self.lead_seconds / self._run_seconds)))


def _blend(known: float | None, newest: float) -> float:
    return newest if known is None else known + _WEIGHT_OF_THE_NEWEST * (newest - known)
