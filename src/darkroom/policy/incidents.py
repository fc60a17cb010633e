"""What has befallen a submission at runtimes so far, and when that is no chance any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

# One may be anybody's fault; the same submission at the second one is no chance any more.
MOST_RUNTIME_DEATHS = 2
# Where the runtime is well, a fault of the request comes again; one more try finds out whether it does.
MOST_EQUAL_FAULTS = 2


class IncidentKind(StrEnum):
    """What happened."""

    DEATH = "death"  # the runtime went away while it had the submission
    SICKNESS = "sickness"  # the runtime was well before it had the submission, and not afterwards
    NO_MEMORY = "no-memory"  # the runtime is well; its memory did not suffice
    FAULT = "fault"  # the runtime is well; the submission failed


class Incident(msgspec.Struct, frozen=True):
    """One of them: when (seconds since 1970), how it showed, and `where`, the agent that saw it."""

    at: float
    reason: str
    kind: IncidentKind = IncidentKind.DEATH
    where: str = ""


def harmed_its_runtime(incidents: Sequence[Incident]) -> bool:
    """Whether the submission must be kept away from runtimes, by what they have suffered under it."""
    return len(_harm(incidents)) >= MOST_RUNTIME_DEATHS


def failed_the_same_way(incidents: Sequence[Incident]) -> bool:
    """Whether the last incident has happened as often as makes sense. Lack of memory is told in ever other figures."""
    last = incidents[-1]
    equal = [other for other in incidents if _sameness(other) == _sameness(last)]
    return last.kind in (IncidentKind.FAULT, IncidentKind.NO_MEMORY) and len(equal) >= MOST_EQUAL_FAULTS


def tell_story(incidents: Sequence[Incident]) -> str:
    """What is said of a submission that harmed its runtimes too often."""
    harm = _harm(incidents)
    reasons = "; ".join(
        f"{incident.where}: {incident.reason}" if incident.where else incident.reason for incident in harm
    )
    if any(incident.kind is IncidentKind.SICKNESS for incident in harm):
        return f"the task took its runtime down or left it sick {len(harm)} times: {reasons}"
    return f"the task took its runtime down {len(harm)} times: {reasons}"


def _harm(incidents: Sequence[Incident]) -> list[Incident]:
    return [incident for incident in incidents if incident.kind in (IncidentKind.DEATH, IncidentKind.SICKNESS)]


def _sameness(incident: Incident) -> tuple[IncidentKind, str]:
    """Figures differ from try to try: addresses, byte counts, file numbers."""
    if incident.kind is IncidentKind.NO_MEMORY:
        return incident.kind, ""
    return incident.kind, re.sub(r"0x[0-9a-fA-F]+|\d+(\.\d+)?", "#", incident.reason)
