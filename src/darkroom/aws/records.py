"""Task records as DynamoDB holds them: pure functions between `TaskRecord` and an item in DynamoDB's wire form.

The table has one partition key, `id`, and several kinds of items:

- *A submission's record*, under `submission/` and its id. Nobody but this submission's own writers touches it, neither
  a newer submission of the same task id nor an older one. The wish to cancel stands here too.
- *A task's pointer*, under `task/`, its caller and its id: `latest` is the submission that the caller is told of who
  asks after the task, `previous` the one before it. Where the latest one was withdrawn, since it was not accepted,
  its record says which one it had replaced. Two callers' tasks of the same id have two pointers.
- *An idempotency key*, under `idempotency/`, its caller and itself: which request it was used for, and the answer.
- *A count*, under `count/`, the caller's name and the month: `tasks` is how many it has submitted in it.
- *A task's progress*, under `progress/` and its submission's id (`darkroom.aws.progress`), apart from the record, so
  that a write costs one unit whatever the record holds.
- *An agent's heartbeat*, under `agent/`, its runtime and its name (`darkroom.aws.heartbeats`).

Two sparse indices hold keys alone, so that a record's size does not matter to them. `listing` has a caller's tasks in
the order in which they came, and nothing of it changes while a task goes its way: one write for each task. It also
leads to a runtime's agents. `changes` has what was changed last; it is there where a gateway tells of events. A
caller's items are spread over four partitions of an index, since Amazon DynamoDB lets a partition take 1,000 writes a
second.

Every field of a record is an attribute of its own, so that updates and conditions can name it; a field that has its
default is left out. `context` is the user's own data and may hold what DynamoDB cannot (numbers of more than 38
digits, say), so it is kept as JSON text. `expires_at` is the table's time-to-live attribute.
"""

from __future__ import annotations

import zlib
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
# The keys of the indices (`darkroom.config.task_plane.TablePlan` makes them).
LISTED_UNDER, LISTED_AS = "listed_under", "listed_as"
CHANGED_UNDER, CHANGED_AS = "changed_under", "changed_as"
SHARDS = 4
# A submission that was not accepted has this attribute.
WITHDRAWN = "withdrawn"
_PROGRESS = "progress/"
# In characters, of up to four bytes: DynamoDB's limit for a sort key is 1,024 bytes. Our own ids are 32 long.
_LONGEST_IN_SORT_KEY = 200

Item = dict[str, dict[str, Any]]


_SETBACK = "setback_"
_MOST_SETBACKS = 8


def record_to_item(record: TaskRecord) -> Item:
    """The item for `record`; it expires 14 days after the record's last change."""
    fields = msgspec.to_builtins(record)
    fields[TASK_ATTRIBUTE] = fields.pop("id")
    # Each has a place of its own, so that one is written without reading the others; there are so many at most.
    for setback in fields.pop("setbacks", ()):
        fields[f"{_SETBACK}{setback['number'] % _MOST_SETBACKS}"] = setback
    if _CONTEXT_ATTRIBUTE in fields:
        fields[_CONTEXT_ATTRIBUTE] = msgspec.json.encode(record.context).decode()
    item = {name: to_attribute(value) for name, value in fields.items()}
    item[EXPIRY_ATTRIBUTE] = to_attribute(expiry(record.updated_at or record.created_at))
    changed = change_keys(record.caller, record.submission_id, record.updated_at or record.created_at)
    return {**item, **_listing_keys(record), **changed, **submission_key(record.submission_id)}


def item_to_record(item: Mapping[str, Mapping[str, Any]]) -> TaskRecord:
    """The record that `item` holds; attributes that no record has are ignored.

    Raises `msgspec.ValidationError` for an item that is no record.
    """
    fields = {name: from_attribute(value) for name, value in item.items()}
    fields["id"] = fields.pop(TASK_ATTRIBUTE, None)
    setbacks = [fields.pop(name) for name in list(fields) if name.startswith(_SETBACK)]
    if setbacks:
        fields["setbacks"] = sorted(setbacks, key=lambda setback: (setback["at"], setback["number"]))
    if _CONTEXT_ATTRIBUTE in fields:
        fields[_CONTEXT_ATTRIBUTE] = msgspec.json.decode(fields[_CONTEXT_ATTRIBUTE])
    return msgspec.convert(fields, type=TaskRecord)


def submission_key(submission_id: str) -> Item:
    """The primary key of a submission's record."""
    return {KEY_ATTRIBUTE: {"S": f"submission/{submission_id}"}}


def pointer_key(task_id: str, caller: str) -> Item:
    """The primary key of the pointer of a caller's task; no id has a slash in it."""
    return {KEY_ATTRIBUTE: {"S": f"task/{caller}/{task_id}"}}


def count_key(caller: str, month: str) -> Item:
    """The primary key of the count of a caller's tasks in a month."""
    return {KEY_ATTRIBUTE: {"S": f"count/{caller}/{month}"}}


def progress_key(submission_id: str) -> Item:
    """The primary key of a submission's progress."""
    return {KEY_ATTRIBUTE: {"S": f"{_PROGRESS}{submission_id}"}}


def heartbeat_key(runtime: str, agent: str) -> Item:
    """The primary key of an agent's heartbeat; no runtime's name has a slash in it."""
    return {KEY_ATTRIBUTE: {"S": f"agent/{runtime}/{agent}"}}


def agents_partition(runtime: str) -> str:
    """The partition of the index `listing` that leads to a runtime's agents."""
    return f"agents/{runtime}"


def submission_of(key: str) -> tuple[str, bool]:
    """Whose key this is: the submission's id, and whether it is its progress and not its record."""
    kind, _, submission_id = key.partition("/")
    return submission_id, f"{kind}/" == _PROGRESS


def idempotency_key(caller: str, key: str) -> Item:
    """The primary key of an idempotency key that a caller has used. A caller has no slash in it; a key may have."""
    return {KEY_ATTRIBUTE: {"S": f"idempotency/{caller}/{key}"}}


def listing_partitions(caller: str) -> list[str]:
    """The partitions of the index `listing` that hold a caller's tasks."""
    return [f"tasks/{caller}/{shard}" for shard in range(SHARDS)]


def change_partitions(caller: str) -> list[str]:
    """The partitions of the index `changes` that hold a caller's tasks."""
    return [f"{caller}/{shard}" for shard in range(SHARDS)]


def sort_key(at: float, submission_id: str) -> str:
    """Where a submission stands in an index: by a time in seconds since 1970, to the millisecond; never twice."""
    return f"{time_key(at)}/{submission_id[:_LONGEST_IN_SORT_KEY]}"


def time_key(at: float) -> str:
    """What stands in an index before everything of this time and after."""
    return f"{max(0, round(at * 1000)):013d}"


def shard_of(submission_id: str) -> int:
    """Which of a caller's partitions of an index a submission is in."""
    return zlib.crc32(submission_id.encode(errors="surrogatepass")) % SHARDS


def _listing_keys(record: TaskRecord) -> Item:
    return {
        LISTED_UNDER: {"S": f"tasks/{record.caller}/{shard_of(record.submission_id)}"},
        LISTED_AS: {"S": sort_key(record.created_at, record.submission_id)},
    }


def change_keys(caller: str, submission_id: str, changed_at: float) -> Item:
    """Where what was changed of a submission stands in the index `changes`."""
    return {
        CHANGED_UNDER: {"S": f"{caller}/{shard_of(submission_id)}"},
        CHANGED_AS: {"S": sort_key(changed_at, submission_id)},
    }


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
        case list() | tuple():
            return {"L": [to_attribute(element) for element in value]}
        case dict():
            return {"M": {name: to_attribute(element) for name, element in value.items()}}
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """The JSON value of a DynamoDB attribute value; None for what no item of ours has."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        case "L":
            return [from_attribute(element) for element in value]
        case "M":
            return {name: from_attribute(element) for name, element in value.items()}
    return None  # sets and binaries: no record has them
