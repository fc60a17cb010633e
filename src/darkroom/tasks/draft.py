"""A request as far as it could be read, with every fault found on the way.

A strict decoder stops at the first fault; a caller wants to hear of all of them at once. So each codec reads field by
field into a `Draft`, and `darkroom.policy.admission` turns a draft without faults into a `Task`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.hints import did_you_mean
from darkroom.tasks.json_bounds import REQUEST_BOUNDS, JsonBounds
from darkroom.tasks.json_text import BadJson, read_json
from darkroom.tasks.task import JsonObject, OnDuplicate, Priority, TaskKind
from darkroom.tasks.webhook import Webhook

T = TypeVar("T")
_LONGEST_QUOTE = 100

_MOST_WARNINGS = 20


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of a request; a field that is `None` was missing or wrong, and `faults` says why.

    `warnings` say what in it is not known, and is ignored. `paths` maps the names `id`, `runtime`, `kind`, `prefix`,
    `checkpoint` and `content` to where the caller wrote them; `content.x` says that for a field of the content.
    Exactly one of `runtime` (v1alpha2, messages) and `checkpoint` (v1alpha1) says where the task should go.
    """

    paths: Mapping[str, str]
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    id: str | None = None
    runtime: str | None = None
    checkpoint: str | None = None
    kind: TaskKind | None = None
    prefix: str | None = None
    content: JsonObject | None = None
    context: Any = msgspec.field(default_factory=dict)
    timeout_seconds: float | None = None
    webhook: Webhook | None = None
    deadline: float | None = None
    on_duplicate: OnDuplicate = OnDuplicate.NEW
    priority: Priority = Priority.NORMAL


class FieldReader:
    """Reads typed fields out of JSON objects and collects what is wrong, or unknown, instead of raising."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def warn_of_unknown(self, source: JsonObject, known: Collection[str], at: str) -> None:
        """Note each field of `source` that nobody reads; `at` is its path with a dot at the end, or empty."""
        for name in source:
            if name not in known and len(self.warnings) < _MOST_WARNINGS:
                reason = f"is no field that is known here, and is ignored{did_you_mean(name, known)}"
                self.warnings.append(Fault(f"{at}{name}", reason))

    def document(self, body: bytes | str, what: str, bounds: JsonBounds = REQUEST_BOUNDS) -> JsonObject:
        """Parse `body` as a JSON object; on a fault return an empty one."""
        try:
            decoded = read_json(body, bounds)
        except BadJson as error:
            self.faults.append(Fault("", f"{what} {error}"))
            return {}
        if not isinstance(decoded, dict):
            self.faults.append(Fault("", f"{what} must be a JSON object"))
            return {}
        return decoded

    def required(self, source: JsonObject, key: str, path: str, kind: type[T]) -> T | None:
        """The field `key` as a `kind`; a fault and `None` when it is missing or of another type."""
        if key not in source:
            if not self.faults or self.faults[0].path != "":  # a document that could not be read has no fields to miss
                self.faults.append(Fault(path, "is required"))
            return None
        return self.optional(source, key, path, kind)

    def optional(self, source: JsonObject, key: str, path: str, kind: type[T]) -> T | None:
        """The field `key` as a `kind`, or `None` when it is missing; a fault when it is of another type."""
        if key not in source:
            return None
        try:
            return msgspec.convert(source[key], type=kind)
        except msgspec.ValidationError as error:
            if kind is TaskKind and isinstance(source[key], str):
                reason = f"{quoted(source[key])} is not a task type; there are: {', '.join(TaskKind)}"
            else:
                reason = _uncapitalised(str(error))
            self.faults.append(Fault(path, reason))
            return None


def without_nulls(source: JsonObject, names: Collection[str]) -> JsonObject:
    """`source` without those of its fields `names` that are null, as many programs write what they leave out."""
    return {name: value for name, value in source.items() if value is not None or name not in names}


def _uncapitalised(text: str) -> str:
    return text[0].lower() + text[1:]


def quoted(text: str) -> str:
    """What a caller wrote, in quotation marks, for a fault: enough of it to know it again."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}...")
