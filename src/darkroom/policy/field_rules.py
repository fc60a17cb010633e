"""Rules for one field of a request: what it may hold, and what is said of it otherwise.

They are as lenient as the servers that read the fields in the end: SD Web UI takes `"16"` and `16.0` for a whole
number. What a server would take for something else than was written is a warning, what it cannot take is a fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from darkroom.tasks.hints import LONGEST_QUOTED, did_you_mean, quoted

_TRUE_AND_FALSE = frozenset({"true", "false", "1", "0", "yes", "no", "on", "off", "y", "n", "t", "f"})
# Enough to tell base64 from anything else; a picture of 6 MB need not be read whole for that.
_LOOKED_AT = 256
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\-\s]*")
_SCHEME = re.compile(r"(?i:https?|s3|data):")


class Finding(msgspec.Struct, frozen=True):
    """One thing to say of a field, at `path` below it ("" for itself); a fault makes the request impossible."""

    path: str
    reason: str
    is_fault: bool = True


class FieldRule(Protocol):
    """What one field may hold."""

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """Say what is wrong with `value`; `limits` are a runtime's own upper bounds, by their names."""
        ...


class Text(msgspec.Struct, frozen=True):
    """A string; a number stands for its digits."""

    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if value is None and self.nullable:
            return
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            yield Finding("", f"must be a string, not {quoted(value)}")


class Number(msgspec.Struct, frozen=True):
    """A number from `minimum` (or from above `above`) to `maximum`, or to the runtime's limit of the name `limit`.

    `whole` is without fraction, which the server cuts off a number, and does not read in a text; what is no multiple of
    `multiple_of` is rounded down by the server.
    """

    minimum: float | None = None
    maximum: float | None = None
    limit: str | None = None
    whole: bool = False
    above: float | None = None
    multiple_of: int = 1
    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if value is None and self.nullable:
            return
        number = _number(value)
        maximum = limits[self.limit] if self.limit is not None else self.maximum
        is_read = number is not None and not (self.whole and isinstance(value, str) and isinstance(number, float))
        if number is None or not is_read or not self._is_within(number, maximum):
            yield Finding("", f"must be {self._allowed(maximum)}, not {quoted(value)}")
        elif self.whole and number != int(number):
            yield Finding("", f"is taken for {int(number)}: it must be a whole number", is_fault=False)
        elif self.multiple_of > 1 and int(number) % self.multiple_of:
            rounded = int(number) // self.multiple_of * self.multiple_of
            yield Finding("", f"is taken for {rounded}: it must be a multiple of {self.multiple_of}", is_fault=False)

    def _is_within(self, number: float, maximum: float | None) -> bool:
        return (
            (self.minimum is None or number >= self.minimum)
            and (maximum is None or number <= maximum)
            and (self.above is None or number > self.above)
        )

    def _allowed(self, maximum: float | None) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.above is not None:
            return f"{kind} above {_digits(self.above)}" + (
                "" if maximum is None else f" and at most {_digits(maximum)}"
            )
        if self.minimum is not None and maximum is not None:
            return f"{kind} from {_digits(self.minimum)} to {_digits(maximum)}"
        if self.minimum is not None:
            return f"{kind}, at least {_digits(self.minimum)}"
        return kind if maximum is None else f"{kind}, at most {_digits(maximum)}"


class Flag(msgspec.Struct, frozen=True):
    """True or false, or one of the words and digits that SD Web UI takes for them; null is its default."""

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if isinstance(value, bool) or value is None:
            return
        if not isinstance(value, str | int) or str(value).lower() not in _TRUE_AND_FALSE:
            yield Finding("", f"must be true or false, not {quoted(value)}")


class OneOf(msgspec.Struct, frozen=True):
    """One of a few numbers. `strict`: the server refuses others; otherwise it takes them for something of its own."""

    choices: tuple[int, ...]
    strict: bool = False
    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if value is None and self.nullable:
            return
        number = _number(value)
        if number is None or number not in self.choices:
            allowed = ", ".join(str(choice) for choice in self.choices)
            yield Finding("", f"must be one of {allowed}, not {quoted(value)}", is_fault=self.strict or number is None)


class Known(msgspec.Struct, frozen=True):
    """A name that a server of its own may have more of: one that is nearly a known one gets a warning."""

    names: tuple[str, ...]
    what: str

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        yield from Text(nullable=True).judge(value, limits)
        if isinstance(value, str) and value and value not in self.names:
            hint = did_you_mean(value, self.names)
            yield Finding("", f"{quoted(value)} is no {self.what} that SD Web UI brings along{hint}", is_fault=False)


class JsonObjectRule(msgspec.Struct, frozen=True):
    """A JSON object."""

    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if not isinstance(value, dict) and not (value is None and self.nullable):
            yield Finding("", f"must be an object, not {quoted(value)}")


class ListOf(msgspec.Struct, frozen=True):
    """A JSON list; each item by the rule `item`, where there is one."""

    item: Any = None
    least: int = 0
    most: int | None = None
    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if value is None and self.nullable:
            return
        if not isinstance(value, list):
            yield Finding("", f"must be a list, not {quoted(value)}")
            return
        if len(value) < self.least:
            yield Finding("", "must not be empty" if self.least == 1 else f"must hold at least {self.least}")
        if self.most is not None and len(value) > self.most:
            yield Finding("", f"holds {len(value)}; at most {self.most} are allowed")
            return
        if self.item is not None:
            for number, one in enumerate(value):
                for finding in self.item.judge(one, limits):
                    path = f"{number}.{finding.path}" if finding.path else str(number)
                    yield msgspec.structs.replace(finding, path=path)


class Fields(msgspec.Struct, frozen=True):
    """A JSON object with fields of its own, each by its rule; those in `required` must be there."""

    rules: Mapping[str, Any]
    required: tuple[str, ...] = ()

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if not isinstance(value, dict):
            yield Finding("", f"must be an object, not {quoted(value)}")
            return
        for name in self.required:
            if name not in value:
                yield Finding(name, "is required")
        for name, one in value.items():
            rule: FieldRule | None = self.rules.get(name)
            if rule is None:
                hint = did_you_mean(name, self.rules)
                yield Finding(name, f"is no field that is known here, and may be ignored{hint}", is_fault=False)
                continue
            for finding in rule.judge(one, limits):
                yield msgspec.structs.replace(finding, path=f"{name}.{finding.path}" if finding.path else name)


class Picture(msgspec.Struct, frozen=True):
    """A picture: a link, a data URL, or base64. What is plainly none of them is a path, or a mistake."""

    nullable: bool = False

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        if value is None and self.nullable:
            return
        allowed = "a link (http, https, s3), a data URL, or base64"
        if not isinstance(value, str):
            yield Finding("", f"must be a picture: {allowed}, not {quoted(value)}")
        elif not value.strip():
            yield Finding("", f"is empty: it must be a picture: {allowed}")
        elif not _SCHEME.match(value.lstrip()) and _BASE64.fullmatch(value[:_LOOKED_AT]) is None:
            hint = "; a file on your machine must be sent as base64" if _is_like_a_path(value) else ""
            yield Finding("", f"must be a picture: {allowed}, not {quoted(value)}{hint}")


class Anything(msgspec.Struct, frozen=True):
    """Whatever the server makes of it."""

    def judge(self, value: Any, limits: Mapping[str, float]) -> Iterator[Finding]:
        """See `FieldRule`."""
        return iter(())


def _number(value: Any) -> float | int | None:
    """The number that SD Web UI would read, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = int(value) if len(value) <= LONGEST_QUOTED else None
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float) else None


def _digits(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _is_like_a_path(text: str) -> bool:
    return len(text) <= 1024 and ("/" in text or "\\" in text or re.search(r"\.[A-Za-z]{3,4}$", text) is not None)
