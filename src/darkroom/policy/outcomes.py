"""What becomes of a message when work on it ends: a value, decided without I/O."""

from __future__ import annotations

import msgspec

from darkroom.errors import (
    AwsUnavailable,
    DarkroomError,
    GenerationFailedAgain,
    RuntimeKilled,
    RuntimeSick,
    RuntimeUnreachable,
    SigningUnavailable,
)

# SQS allows a message to be hidden for 12 hours; waiting that long helps nobody.
MAXIMUM_DELAY_SECONDS = 300
# An outage ends when it ends: the task that waits for that should not wait much longer.
MAXIMUM_OUTAGE_DELAY_SECONDS = 10
# A payload that S3 refuses for a day is not refused in passing, and somebody waits to hear of it.
PAYLOAD_PATIENCE_SECONDS = 24 * 3600.0
# Whoever holds pictures, or has nothing else to do, may look more often than a message comes by.
_FIRST_LOOK_SECONDS = 0.5
_LONGEST_LOOK_SECONDS = 15.0


class Acknowledge(msgspec.Struct, frozen=True):
    """The task is done and notified: delete the message."""


class GiveBack(msgspec.Struct, frozen=True):
    """Make the message visible again after a while, for another try."""

    delay_seconds: int
    reason: str


class StartOver(msgspec.Struct, frozen=True):
    """Make the message visible again after a while, without having used up a try: it was nobody's fault here."""

    delay_seconds: int
    reason: str


class FailForGood(msgspec.Struct, frozen=True):
    """Trying again cannot help: notify the failure and delete the message."""

    error: DarkroomError


class DeadLetter(msgspec.Struct, frozen=True):
    """Move the message to the dead letters with the reason, and notify the failure where an id can be read."""

    error: DarkroomError


Outcome = Acknowledge | GiveBack | StartOver | FailForGood | DeadLetter


class Tries(msgspec.Struct, frozen=True):
    """How often a message was received, and how often its queue lets it be received before it becomes a dead letter.

    The last receive is kept for telling: SQS moves a message that was received once more in silence, so a task that
    took its agent down on every try before is reported, not run, on the last. `allowed` is None where nothing is
    dead-lettered.
    """

    received: int
    maximum_receives: int | None

    @property
    def allowed(self) -> int | None:
        """How often the task may be run."""
        return None if self.maximum_receives is None else max(1, self.maximum_receives - 1)

    @property
    def are_used_up(self) -> bool:
        """Whether the task must not be run again."""
        return self.allowed is not None and self.received > self.allowed

    @property
    def is_last(self) -> bool:
        """Whether a failure now is final."""
        return self.allowed is not None and self.received >= self.allowed


def decide_on_failure(error: DarkroomError, tries: Tries, jitter: float) -> Outcome:
    """What to do with a message whose task failed with `error`; `jitter` is a random number from 0 to 1."""
    if isinstance(error, RuntimeKilled | GenerationFailedAgain):
        return DeadLetter(error)
    if not error.retryable:
        return FailForGood(error)
    if isinstance(
        error, AwsUnavailable | RuntimeUnreachable | RuntimeSick | SigningUnavailable
    ):  # an outage is no task's fault
        return StartOver(outage_seconds(tries.received, jitter), str(error))
    if tries.is_last:
        return DeadLetter(error)
    return GiveBack(backoff_seconds(tries.received, jitter), str(error))


def backoff_seconds(tries: int, jitter: float) -> int:
    """How long to wait before try number `tries` + 1: doubling from 2 seconds, half of it fixed and half by chance."""
    full: int = min(MAXIMUM_DELAY_SECONDS, 2 ** min(tries, 16))
    return max(1, round(full * (0.5 + 0.5 * jitter)))


def outage_seconds(tries: int, jitter: float) -> int:
    """How long to wait for AWS or the runtime to be back: the same, but never long."""
    return min(MAXIMUM_OUTAGE_DELAY_SECONDS, backoff_seconds(tries, jitter))


def away_seconds(attempts: int, jitter: float) -> float:
    """How long to wait before what failed `attempts` times at AWS is tried again by whoever holds it."""
    full: float = min(_LONGEST_LOOK_SECONDS, _FIRST_LOOK_SECONDS * 2 ** min(attempts - 1, 16))
    return full * (0.5 + 0.5 * jitter)
