"""How results are shown: tables for people, lines for other programs, JSON for scripts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

# Wider than any table of ours: what goes into a pipe is not wrapped, so that names can be copied out of it.
_UNWRAPPED_COLUMNS = 1000
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def print_table(table: Table) -> None:
    """Show a table: as wide as the terminal at most, or in a pipe without a frame and with each row on one line."""
    if sys.stdout.isatty():
        Console().print(table)
        return
    table.box = None
    table.title = None
    for column in table.columns:
        column.no_wrap, column.max_width = True, None
        column.overflow = "ignore"
    Console(width=_UNWRAPPED_COLUMNS, color_system=None).print(table)


def print_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago something was, for a person."""
    return duration(((now or datetime.now(UTC)) - moment).total_seconds())


def duration(seconds: float) -> str:
    """A time for a person: with its largest unit alone."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
