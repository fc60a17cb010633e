"""How a submission's record is brought up to date, and when it stays as it is: pure, in DynamoDB's expressions."""

from __future__ import annotations

from typing import Any

from darkroom.aws.records import (
    KEY_ATTRIBUTE,
    LISTED_AS,
    LISTED_UNDER,
    WITHDRAWN,
    record_to_item,
    submission_key,
    to_attribute,
)
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

UNFINISHED = {f":unfinished_{status}": {"S": status.value} for status in Status if not status.is_terminal}
IS_UNFINISHED = f"#status IN ({', '.join(UNFINISHED)})"
# What the first writer of a record knows best, and nobody after it changes.
_KEPT = ("created_at", "started_at", "deadline", "priority", "context", LISTED_UNDER, LISTED_AS)
# They are true of a task that waits for another try, and go when it runs or ends.
_WHILE_IT_WAITS = ("waits_because", "next_try_at")
# Of the last try; where a task ends without one more, as when its agent was lost, none has brought its end.
_OF_THE_LAST_TRY = ("device_seconds", "received_at", "prepared_at", "stored_at")


def update_to(record: TaskRecord, *, begins_try: bool = False, only_after: str | None = None) -> dict[str, Any]:
    """The update of a submission's record to `record`, unless it tells an end: for DynamoDB, without the table.

    What the first writer knows best is kept where it is set. `begins_try`: one more try is counted; how many `record`
    has does not matter. With `only_after`, it also stays as it is where another agent than that has had the task last.
    """
    item = record_to_item(record)
    for name in (KEY_ATTRIBUTE, "cancel_requested", "attempts"):
        item.pop(name, None)
    assignments = [
        f"#{name} = if_not_exists(#{name}, :{name})" if name in _KEPT else f"#{name} = :{name}" for name in item
    ]
    condition, values = f"attribute_not_exists(id) OR {IS_UNFINISHED}", dict(UNFINISHED)
    if begins_try:
        assignments.append("attempts = if_not_exists(attempts, :none) + :one")
        values |= {":none": to_attribute(0), ":one": to_attribute(1)}
    names = {"#status": "status"} | {f"#{name}": name for name in item}
    if only_after is not None:
        condition = f"({condition}) AND (attribute_not_exists(#agent) OR #agent = :before)"
        names["#agent"], values[":before"] = "agent", to_attribute(only_after)
    replaced = (*_WHILE_IT_WAITS, *_OF_THE_LAST_TRY) if record.status.is_terminal else _WHILE_IT_WAITS
    outdated = [WITHDRAWN, *(name for name in replaced if name not in item)]
    return {
        "Key": submission_key(record.submission_id),
        "UpdateExpression": f"SET {', '.join(assignments)} REMOVE {', '.join(outdated)}",
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {**{f":{name}": value for name, value in item.items()}, **values},
    }
