"""Who may call: names for API keys, what each of them may send, and whose tasks it sees.

Both doors are told the same list. Behind API Gateway an entry has the `id` of its key, and the rates are kept before a
request arrives; at the gateway it has the key or, better, its digest, and rates of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from darkroom.errors import SettingsError

# Where config.yaml names no callers, there is one, the guide's; a caller of this name keeps its key.
DEFAULT_CALLER = "default"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
Role = Literal["operator"]
_DIGEST = re.compile(r"[0-9a-f]{64}")


class CallerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One caller. `rate_limit` is in requests per second, `burst_limit` in requests, `monthly_tasks` in accepted tasks.

    What is None is as for everybody, or for the other door. `key` is a secret: it is not shown. A caller of the role
    `operator` sees and cancels everybody's tasks; one without a role, its own.
    """

    name: str
    id: str | None = None
    key: str | None = None
    key_sha256: str | None = msgspec.field(default=None, name="keySha256")
    rate_limit: float | None = None
    burst_limit: int | None = None
    monthly_tasks: int | None = None
    role: Role | None = None

    def __repr__(self) -> str:
        return f"CallerSpec({self.name!r})"


class Callers:
    """The callers of one deployment; none where keys have no names. `unnamed` are the ids of keys without a name."""

    def __init__(self, callers: Iterable[CallerSpec] = (), unnamed: Iterable[str] = ()) -> None:
        self._by_name = {caller.name: caller for caller in callers}
        self._unnamed = tuple(unnamed)
        self._name_by_id = {caller.id: caller.name for caller in self if caller.id is not None}

    def __iter__(self) -> Iterator[CallerSpec]:
        return iter(self._by_name.values())

    def name_of(self, key_id: str | None) -> str:
        """Whose key has this id at API Gateway; a key that nobody has named is known by its id. "" without a key."""
        return "" if key_id is None else self._name_by_id.get(key_id, key_id)

    def monthly_tasks(self, name: str) -> int | None:
        """How many tasks this caller may submit in a calendar month; None for any number."""
        caller = self._by_name.get(name)
        return None if caller is None else caller.monthly_tasks

    def is_operator(self, name: str) -> bool:
        """Whether this caller may see and cancel the tasks of all."""
        caller = self._by_name.get(name)
        return caller is not None and caller.role == "operator"

    @property
    def everybody(self) -> tuple[str, ...]:
        """Whose tasks there may be: all that are known, and nobody."""
        return (*self._by_name, *self._unnamed, "")

    @property
    def are_counted(self) -> bool:
        """Whether somebody's tasks have to be counted."""
        return any(caller.monthly_tasks is not None for caller in self)


def decode_callers(text: str | None, unnamed: Iterable[str] = ()) -> Callers:
    """Read a JSON list of `CallerSpec`; None or nothing is nobody. `unnamed` are ids of keys that nobody named.

    Raises `SettingsError` when it is none, or is wrong; its text quotes no key.
    """
    if not text:
        return Callers(unnamed=unnamed)
    try:
        specs = msgspec.json.decode(text, type=list[CallerSpec])
    except msgspec.DecodeError as error:
        raise SettingsError(f"the list of callers (DARKROOM_CALLERS) cannot be read: {error}") from None
    faults = list(_faults(specs))
    if faults:
        raise SettingsError("\n".join(["the list of callers (DARKROOM_CALLERS) is wrong:", *faults]))
    return Callers(specs, unnamed)


def encode_callers(callers: Iterable[CallerSpec]) -> str:
    """The text that `decode_callers` reads."""
    return msgspec.json.encode(list(callers)).decode()


def month_of(now: float) -> str:
    """The calendar month in UTC, as in 2026-11; `now` in seconds since 1970."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m}"


def next_month(now: float) -> datetime:
    """When the next calendar month begins, in UTC."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _faults(specs: list[CallerSpec]) -> Iterator[str]:
    names: set[str] = set()
    for index, spec in enumerate(specs):
        if not _NAME.fullmatch(spec.name):
            yield f"  [{index}].name must be up to 40 small letters, digits and hyphens, not {spec.name[:60]!r}"
        if spec.name in names:
            yield f"  [{index}].name {spec.name!r} is there twice; each caller needs its own"
        names.add(spec.name)
        if spec.key_sha256 is not None and not _DIGEST.fullmatch(spec.key_sha256):
            yield f"  [{index}].keySha256 must be 64 hexadecimal digits in small letters"
        if spec.key is not None and not spec.key.strip():
            yield f"  [{index}].key is empty"
        for field, value in (("rateLimit", spec.rate_limit), ("burstLimit", spec.burst_limit)):
            if value is not None and not value > 0:
                yield f"  [{index}].{field} must be more than 0, not {value:g}"
        if spec.monthly_tasks is not None and spec.monthly_tasks < 0:
            yield f"  [{index}].monthlyTasks must be at least 0, not {spec.monthly_tasks}"
