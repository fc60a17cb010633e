"""Whose fault a failure is, the request's or the runtime's: decided by what a known-good request came to after it.

No list of error texts can tell: a server that is broken answers good requests in the words in which a sound one answers
bad ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from darkroom.errors import (
    GenerationFailed,
    GenerationFailedAgain,
    GenerationRefused,
    GenerationTimeout,
    OutOfMemory,
    RequestSuspected,
    RuntimeFailure,
    RuntimeKilled,
    RuntimeSick,
)
from darkroom.policy.incidents import Incident, IncidentKind, failed_the_same_way, harmed_its_runtime, tell_story


class Well(msgspec.Struct, frozen=True):
    """The canary came out well at once."""


class Healed(msgspec.Struct, frozen=True):
    """It failed, and came out well after this remedy."""

    remedy: str


class Sick(msgspec.Struct, frozen=True):
    """It failed, whatever was tried."""

    reason: str


class NoCanary(msgspec.Struct, frozen=True):
    """The runtime's adapter has none, so that nothing is known."""


Verdict = Well | Healed | Sick | NoCanary


def is_suspicious(error: Exception) -> bool:
    """Whether `error` may be the request's fault or the runtime's, so that a canary is needed to tell."""
    return isinstance(error, GenerationFailed | GenerationTimeout)


def incident_of(error: RuntimeFailure, verdict: Verdict, *, was_well: bool, at: float, where: str) -> Incident | None:
    """What is remembered of a suspicious failure; nothing where it may have been anybody's.

    `was_well`: the runtime was known to be well when it turned to the task.
    """
    match verdict:
        case Well():
            kind = IncidentKind.NO_MEMORY if isinstance(error, OutOfMemory) else IncidentKind.FAULT
            # A fault of the request ends at once: there is nothing to remember it for.
            return None if isinstance(error, RequestSuspected) else Incident(at, str(error), kind, where)
        case Healed() | Sick():
            return Incident(at, str(error), IncidentKind.SICKNESS, where) if was_well else None
        case NoCanary():
            return None


def tell_whose_fault(error: RuntimeFailure, verdict: Verdict, incidents: Sequence[Incident]) -> RuntimeFailure:
    """The error that a suspicious failure turns out to be. `incidents` are those of its submission, this one last."""
    match verdict:
        case Well() if isinstance(error, RequestSuspected):
            return GenerationRefused(str(error))
        case Well() if incidents and failed_the_same_way(incidents):
            return GenerationFailedAgain(
                f"{error} (for the second time, on a runtime that does a known-good request: another try would come to "
                "the same)"
            )
        case Healed() | Sick() if incidents and harmed_its_runtime(incidents):
            return RuntimeKilled(tell_story(incidents))
        case Healed(remedy):
            return RuntimeSick(f"the runtime was sick, and is well again after this: {remedy}. It had said: {error}")
        case Sick(reason):
            return RuntimeSick(f"the runtime is sick: {reason}. It had said: {error}")
        case _:
            return error
