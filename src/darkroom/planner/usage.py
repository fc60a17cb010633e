"""What was really asked for: task records or a usage export, read for their times.

A file is CSV with a header, JSON lines (as `darkroom list --json` prints them), or a JSON list. Of its columns these
are looked at: `created_at` (or `time`, `timestamp`), which it must have; `started_at`, `ended_at`, `device_seconds`,
`runtime`, `caller`, `pictures` or `image_url`. Times are seconds since 1970 or ISO 8601.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError

_MOST_PICTURES = 1_000_000
_TIMES = ("created_at", "time", "timestamp", "arrival")


@dataclass(frozen=True, slots=True)
class Used:
    """One task. Times in seconds since 1970, or None where the file does not say."""

    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    device_seconds: float | None = None
    runtime: str = ""
    caller: str = ""
    pictures: int = 1


def read_usage(path: Path) -> list[Used]:
    """The tasks of a file, in order of their arrival. Raises `SettingsError` that names the line and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    rows = _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)
    found = sorted((_used(where, row) for where, row in rows), key=lambda used: used.created_at)
    if not found:
        raise SettingsError(f"{path} holds no task: give a file with a line for each, and a column created_at")
    return found


def by_caller(used: Iterable[Used]) -> dict[str, list[Used]]:
    """The tasks of each caller, the one with the most first."""
    found: dict[str, list[Used]] = {}
    for one in used:
        found.setdefault(one.caller or "(nobody named)", []).append(one)
    return dict(sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0])))


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or []
    if len(names) == 1 and _number(names[0]) is not None:
        # A plain list of times, without a header.
        lines = enumerate(io.StringIO(text), 1)
        return ((f"{path}, line {number}", {"time": line.strip()}) for number, line in lines if line.strip())
    if not set(_TIMES) & set(names):
        raise SettingsError(
            f"{path} has no column for when tasks arrived: name one {' or '.join(_TIMES)}; it has {', '.join(names)}"
        )
    return ((f"{path}, line {reader.line_num}", row) for row in _rows(path, reader))


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[Mapping[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise SettingsError(f"{path}, line {reader.line_num} is no CSV: {error}") from None


def _json_rows(path: Path, text: str) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise SettingsError(f"{path} is no JSON: {error}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise SettingsError(f"{path}: every entry must be an object with a field created_at")
    return [(f"{path}, entry {number}", row) for number, row in enumerate(rows, 1)]


def _used(where: str, row: Mapping[str, Any]) -> Used:
    name = next((name for name in _TIMES if row.get(name) not in (None, "")), None)
    if name is None:
        raise SettingsError(f"{where} does not say when its task arrived: fill in {' or '.join(_TIMES)}")
    created, started, ended = (_time(where, key, row.get(key)) for key in (name, "started_at", "ended_at"))
    if created is None:
        raise AssertionError("a time that is there is read or refused")
    if started is not None and ended is not None and ended < started:
        raise SettingsError(f"{where}: ended_at is before started_at")
    device = row.get("device_seconds")
    seconds = None if device in (None, "") else _number(device)
    if device not in (None, "") and (seconds is None or seconds < 0):
        raise SettingsError(f"{where}: device_seconds is {device!r}, which is no number of seconds")
    urls = row.get("image_url")
    pictures = float(len(urls)) if isinstance(urls, list) and urls else _number(row.get("pictures") or 1)
    if pictures is None or not 0 <= pictures <= _MOST_PICTURES:
        raise SettingsError(f"{where}: pictures is {row.get('pictures')!r}: write how many there are, as 1")
    return Used(
        created, started, ended, seconds, str(row.get("runtime") or ""), str(row.get("caller") or ""),
        int(pictures),
    )  # fmt: skip


def _time(where: str, name: str, value: Any) -> float | None:
    if value in (None, ""):
        return None
    if (number := _number(value)) is not None:
        return number
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise SettingsError(
            f"{where}: {name} is {value!r}, which is no time: write seconds, or 2026-11-25T08:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
