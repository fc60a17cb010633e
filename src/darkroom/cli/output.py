"""How results are told: JSON for scripts, times for people."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from darkroom.errors import DarkroomError

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def print_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def error_facts(error: DarkroomError) -> dict[str, Any]:
    """An error, as JSON tells it."""
    told: dict[str, Any] = {"type": error.type, "message": str(error), "retryable": error.retryable}
    told |= {name: getattr(error, name) for name in ("task_id", "status_code") if getattr(error, name, None)}
    if faults := getattr(error, "faults", ()):
        told["errors"] = [{"path": fault.path, "reason": fault.reason} for fault in faults]
    return told


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago something was, for a person."""
    return duration(((now or datetime.now(UTC)) - moment).total_seconds())


def duration(seconds: float) -> str:
    """A time for a person: with its largest unit alone."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
