"""What the agent counts of its work: how long tasks waited, how long they had the device, and how they ended.

Who passes metrics in decides where they go. `NoMetrics` counts nothing; `darkroom.agent.prometheus` answers Prometheus;
`darkroom.agent.embedded_metrics` writes lines that CloudWatch counts. No figure says whose a task was, and no label has
many values: they come from Darkroom's code, not from requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

from darkroom.errors import DarkroomError
from darkroom.tasks.task import Status


class Metrics(Protocol):
    """Where figures go. Times are in seconds."""

    def watch(self, busy_seconds: Callable[[], float], held: Callable[[], int]) -> None:
        """Take these two when figures are asked for.

        How long the device has been busy in all, up to now; how many tasks are on their way here.
        """
        ...

    def began(self, waited_seconds: float) -> None:
        """A task has the device, so long after it was submitted."""
        ...

    def generated(self, kind: str, seconds: float) -> None:
        """A task of this kind had the device for so long, and the runtime delivered."""
        ...

    def switched_model(self) -> None:
        """The runtime loaded another model for a task."""
        ...

    def ended(self, status: Status, error_type: str | None) -> None:
        """A task came to its end, told here for the first time, by an error of this name if by any."""
        ...

    def given_back(self, error_type: str) -> None:
        """A message went back to its queue, for another try, because of an error of this name."""
        ...


class NoMetrics:
    """Counts nothing."""

    def watch(self, busy_seconds: Callable[[], float], held: Callable[[], int]) -> None:
        """Do nothing."""

    def began(self, waited_seconds: float) -> None:
        """Do nothing."""

    def generated(self, kind: str, seconds: float) -> None:
        """Do nothing."""

    def switched_model(self) -> None:
        """Do nothing."""

    def ended(self, status: Status, error_type: str | None) -> None:
        """Do nothing."""

    def given_back(self, error_type: str) -> None:
        """Do nothing."""


class SeveralMetrics:
    """Figures that go to several places."""

    def __init__(self, places: Sequence[Metrics]) -> None:
        self._places = places

    def watch(self, busy_seconds: Callable[[], float], held: Callable[[], int]) -> None:
        """Tell all."""
        for place in self._places:
            place.watch(busy_seconds, held)

    def began(self, waited_seconds: float) -> None:
        """Tell all."""
        for place in self._places:
            place.began(waited_seconds)

    def generated(self, kind: str, seconds: float) -> None:
        """Tell all."""
        for place in self._places:
            place.generated(kind, seconds)

    def switched_model(self) -> None:
        """Tell all."""
        for place in self._places:
            place.switched_model()

    def ended(self, status: Status, error_type: str | None) -> None:
        """Tell all."""
        for place in self._places:
            place.ended(status, error_type)

    def given_back(self, error_type: str) -> None:
        """Tell all."""
        for place in self._places:
            place.given_back(error_type)


def reason(error_type: str | None) -> str:
    """The value of a label for the name of an error: "" for none, "other" for one that is not of Darkroom's tree.

    An end that another agent wrote down is read from the bucket, where anything may stand.
    """
    if error_type is None:
        return ""
    return error_type if error_type in _names() else "other"


@cache
def _names() -> frozenset[str]:
    """The errors that there are when the first one is counted: those of a runtime's adapter too."""
    found: set[str] = {Status.CANCELLED.value.capitalize(), Status.EXPIRED.value.capitalize()}
    waiting: list[type[DarkroomError]] = [DarkroomError]
    while waiting:
        known = waiting.pop()
        found.add(known.__name__)
        waiting += known.__subclasses__()
    return frozenset(found)
