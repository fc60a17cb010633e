"""What a request says of its submission, beside the task itself: until when, how soon, and what if its id is taken."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from darkroom.errors import Fault
from darkroom.tasks.draft import FieldReader
from darkroom.tasks.hints import quoted
from darkroom.tasks.task import JsonObject, OnDuplicate, Priority

E = TypeVar("E", bound=StrEnum)

# What every library can tell: the first second after the beginning of 1970, and the last one of the year 9999.
_EARLIEST, _LATEST = 1.0, 253_402_300_799.0


def read_on_duplicate(reader: FieldReader, metadata: JsonObject, path: str) -> OnDuplicate:
    """Read `on_duplicate`; `NEW` where it is missing or wrong."""
    return _read_one_of(reader, metadata, "on_duplicate", path, OnDuplicate.NEW)


def read_priority(reader: FieldReader, metadata: JsonObject, path: str) -> Priority:
    """Read `priority`; `NORMAL` where it is missing or wrong."""
    return _read_one_of(reader, metadata, "priority", path, Priority.NORMAL)


def _read_one_of(reader: FieldReader, metadata: JsonObject, key: str, path: str, usual: E) -> E:
    kind = type(usual)
    told = metadata.get(key, usual)
    if isinstance(told, str) and told in set(kind):
        return kind(told)
    reader.faults.append(Fault(path, f"must be one of {', '.join(kind)}, not {quoted(told)}"))
    return usual


def read_deadline(reader: FieldReader, metadata: JsonObject, path: str) -> float | None:
    """Read `deadline`, a time of RFC 3339 or seconds since 1970, as the latter; None where it is missing or wrong."""
    told = metadata.get("deadline")
    match told:
        case None:
            return None
        case bool():
            pass
        case int() | float() if 0 < told <= _LATEST:
            return float(told)
        case str():
            try:
                at = datetime.fromisoformat(told.upper())  # RFC 3339 has a small z, too
            except ValueError:
                at = None
            if at is not None and at.tzinfo is not None:
                return min(max(at.timestamp(), _EARLIEST), _LATEST)  # its offset may lead beyond both
    reader.faults.append(
        Fault(path, "must be a time with its offset, as in 2026-11-25T18:00:00Z, or a number of seconds since 1970")
    )
    return None
