"""Reads the values of a request's fields: JSON's own, or the texts that stand for them in a form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from darkroom.errors import Fault
from darkroom.tasks.draft import quoted as quoted_text
from darkroom.tasks.hints import quoted

_FLAGS = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}


class Values:
    """Typed fields of a request; null counts as missing. What is wrong is collected in `faults`, by their names."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self.faults: list[Fault] = []

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def fault(self, name: str, reason: str) -> None:
        """Note what is wrong with a field."""
        self.faults.append(Fault(name, reason))

    def first(self, *names: str) -> str:
        """Of names that mean the same, the one that was used; the first where none was."""
        return next((name for name in names if name in self._fields), names[0])

    def text(self, name: str, longest: int) -> str | None:
        """A string of at most `longest` characters."""
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(name, f"must be a string, not {quoted(value)}")
        elif len(value) > longest:
            self.fault(name, f"is {len(value)} characters long; at most {longest} are allowed")
        elif any("\ud800" <= character <= "\udfff" for character in value):
            self.fault(name, "holds half of a character (a lone surrogate)")
        else:
            return value
        return None

    def choice(self, name: str, choices: Sequence[str], refused: Mapping[str, str] | None = None) -> str | None:
        """One of `choices`; `refused` says of others why they cannot be had."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, str) and value in choices:
            return value
        why = (refused or {}).get(value) if isinstance(value, str) else None
        said = quoted_text(value) if isinstance(value, str) else quoted(value)
        self.fault(name, why or f"must be one of {', '.join(choices)}, not {said}")
        return None

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number."""
        value = self._fields.get(name)
        if value is None:
            return None
        number = _number(value)
        if number is None or number != int(number) or not least <= number <= most:
            self.fault(name, f"must be a whole number from {least} to {most}, not {quoted(value)}")
            return None
        return int(number)

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number."""
        value = self._fields.get(name)
        if value is None:
            return None
        number = _number(value)
        if number is None or not least <= number <= most:
            self.fault(name, f"must be a number from {least:g} to {most:g}, not {quoted(value)}")
            return None
        return float(number)

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing."""
        value = self._fields.get(name)
        if value is None:
            return False
        known = value.lower() if isinstance(value, str) else value
        if isinstance(known, bool | str) and known in _FLAGS:
            return _FLAGS[known]
        self.fault(name, f"must be true or false, not {quoted(value)}")
        return False


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= 40 and value.isascii() and "_" not in value:
        for kind in (int, float):
            try:
                value = kind(value)
            except ValueError:
                continue
            break
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
