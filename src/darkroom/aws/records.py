"""Task records as DynamoDB holds them: pure functions between `TaskRecord` and an item in DynamoDB's wire form.

The table has three kinds of items, under one partition key, `id`:

- *A submission's record*, under `submission/` and its id. Nobody but this submission's own writers touches it, neither
  a newer submission of the same task id nor an older one. The wish to cancel stands here too.
- *A task's pointer*, under the task's id, which never holds a slash: `latest` is the submission that whoever asks after
  the task is told of, `previous` the one before it. Where the latest one was withdrawn, since it was not accepted,
  its record says which one it had replaced.
- *A count*, under `caller/`, the caller's name and the month: `tasks` is how many it has submitted in it.

Every field of a record is an attribute of its own, so that updates and conditions can name it; a field that has its
default is left out. `context` is the user's own data and may hold what DynamoDB cannot (numbers of more than 38
digits, say), so it is kept as JSON text. `expires_at` is the table's time-to-live attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from darkroom.tasks.record import TaskRecord

KEY_ATTRIBUTE = "id"
TASK_ATTRIBUTE = "task_id"
EXPIRY_ATTRIBUTE = "expires_at"
RETENTION_SECONDS = 14 * 24 * 3600
# A pointer is written once: SQS keeps the task for up to 14 days before its record's last change.
POINTER_RETENTION_SECONDS = 2 * RETENTION_SECONDS
# A month, and two more to look back at.
COUNT_RETENTION_SECONDS = 93 * 24 * 3600
_CONTEXT_ATTRIBUTE = "context"

Item = dict[str, dict[str, Any]]


def record_to_item(record: TaskRecord) -> Item:
    """The item for `record`; it expires 14 days after the record's last change."""
    fields = msgspec.to_builtins(record)
    fields[TASK_ATTRIBUTE] = fields.pop("id")
    if _CONTEXT_ATTRIBUTE in fields:
        fields[_CONTEXT_ATTRIBUTE] = msgspec.json.encode(record.context).decode()
    item = {name: to_attribute(value) for name, value in fields.items()}
    item[EXPIRY_ATTRIBUTE] = to_attribute(expiry(record.updated_at or record.created_at))
    return {**item, **submission_key(record.submission_id)}


def item_to_record(item: Mapping[str, Mapping[str, Any]]) -> TaskRecord:
    """The record that `item` holds; attributes that no record has are ignored.

    Raises `msgspec.ValidationError` for an item that is no record.
    """
    fields = {name: _from_attribute(value) for name, value in item.items()}
    fields["id"] = fields.pop(TASK_ATTRIBUTE, None)
    if _CONTEXT_ATTRIBUTE in fields:
        fields[_CONTEXT_ATTRIBUTE] = msgspec.json.decode(fields[_CONTEXT_ATTRIBUTE])
    return msgspec.convert(fields, type=TaskRecord)


def submission_key(submission_id: str) -> Item:
    """The primary key of a submission's record."""
    return {KEY_ATTRIBUTE: {"S": f"submission/{submission_id}"}}


def pointer_key(task_id: str) -> Item:
    """The primary key of a task's pointer."""
    return {KEY_ATTRIBUTE: {"S": task_id}}


def count_key(caller: str, month: str) -> Item:
    """The primary key of the count of a caller's tasks in a month."""
    return {KEY_ATTRIBUTE: {"S": f"caller/{caller}/{month}"}}


def expiry(changed_at: float) -> int:
    """When a record that was changed at `changed_at` (seconds since 1970) may be deleted, in the same unit."""
    return int(changed_at) + RETENTION_SECONDS


def to_attribute(value: Any) -> dict[str, Any]:
    """A JSON value as a DynamoDB attribute value; use it for the values in update expressions too."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            # Decimal writes what repr shows, without the exponent's "+" or a binary fraction's tail.
            return {"N": format(Decimal(repr(value)), "f")}
        case str():
            return {"S": value}
        case list():
            return {"L": [to_attribute(element) for element in value]}
        case dict():
            return {"M": {name: to_attribute(element) for name, element in value.items()}}
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


def _from_attribute(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        case "L":
            return [_from_attribute(element) for element in value]
        case "M":
            return {name: _from_attribute(element) for name, element in value.items()}
    return None  # sets and binaries: no record has them
