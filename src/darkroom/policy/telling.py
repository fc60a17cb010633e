"""What is told of a task, so that it fits where it is told: pure decisions.

Amazon SNS takes 256 KiB, and Amazon DynamoDB records of 400 KB. What may be of any length is a runtime's error and the
list of pictures; and the context, in a message that no front door has checked (one does not let in more than 64 KiB).

- An error's text is cut before it is written down anywhere.
- The list of pictures is left out where it does not fit, with what is told of each: `image_url` is empty, and
  `image_url_omitted` says how many there are. All of it stands in the `.out` object, which may be of any size.
- A context that does not fit even then is left out, and `context_omitted` says so.

So what is told follows from what was written down, and is the same whenever it is told again. The record says what was
told, which is below DynamoDB's limit by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from darkroom.errors import DarkroomError
from darkroom.policy.object_keys import TaskObjects
from darkroom.tasks.message import MAXIMUM_MESSAGE_BYTES, attribute_bytes
from darkroom.tasks.notification import Notification, NotifiedError, encode_notification, notification_attributes
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status, TaskKind
from darkroom.tasks.webhook import Webhook

LONGEST_ERROR_TEXT = 4096
# An id that no front door has checked; those that are checked are shorter.
LONGEST_TOLD_ID = 256
# Of why a task waits, and of the name of a checkpoint.
LONGEST_REASON = 500
LONGEST_MODEL_NAME = 250
_TIMES = {1: "once", 2: "twice"}
_NOBODY: Mapping[str, str] = MappingProxyType({})


def ended_without_pictures(
    task_id: str, status: Status, runtime: str, context: Any, error: NotifiedError
) -> Notification:
    """The end of a task that has no pictures, for `error`; where its `.out` object lies is to be added."""
    return Notification(
        id=task_id[:LONGEST_TOLD_ID],
        status=status,
        runtime=runtime,
        result=False,
        image_url=[],
        context=context,
        error=error,
    )


def told_error(error: DarkroomError) -> NotifiedError:
    """What is told of an error: its text may be as long as its runtime likes, and is cut."""
    told = NotifiedError.of(error)
    if len(told.message) <= LONGEST_ERROR_TEXT:
        return told
    return msgspec.structs.replace(told, message=told.message[:LONGEST_ERROR_TEXT] + " …")


def after_tries(tries: int, reason: str) -> str:
    """Why a task waits that was tried so often, the last time in vain for `reason`."""
    return f"{told_tries(tries)}: {reason}"


def told_tries(tries: int) -> str:
    """How often a task was tried, in words."""
    return f"tried {_TIMES.get(tries, f'{tries} times')}"


def shortened(text: str, longest: int) -> str:
    """`text`, cut where it has more than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def fitted(notification: Notification, submission_id: str, audience: Mapping[str, str] = _NOBODY) -> Notification:
    """What is told in place of `notification`, so that it fits with its attributes, of which `audience` are some."""
    if _fits(notification, submission_id, audience):
        return notification
    pictures = notification.image_url
    if pictures:
        notification = msgspec.structs.replace(
            notification, image_url=[], image_url_omitted=len(pictures), provenance=msgspec.UNSET
        )
        if _fits(notification, submission_id, audience):
            return notification
    return msgspec.structs.replace(notification, context={}, context_omitted=True)


def record_of(
    told: Notification,
    names: TaskObjects,
    *,
    caller: str,
    submitted_at: float,
    now: float,
    kind: TaskKind | None = None,
    webhook: Webhook | None = None,
) -> TaskRecord:
    """What to keep of what was told of a task of `caller` ("" is nobody).

    Times are in seconds since 1970; `kind` is None where it is not known.
    """
    return TaskRecord(
        id=names.task_id,
        submission_id=names.submission_id,
        status=told.status,
        runtime=told.runtime,
        tasktype=kind,
        output_location=names.location,
        caller=caller,
        webhook=webhook,
        created_at=submitted_at,
        updated_at=now,
        image_url=told.image_url or [],
        image_url_omitted=told.image_url_omitted or 0,
        output_url=told.output_url or None,
        error=told.error or None,
        warnings=list(told.warnings),
        provenance=told.provenance or [],
        context=None if told.context is msgspec.UNSET else told.context,
    )


def _fits(notification: Notification, submission_id: str, audience: Mapping[str, str]) -> bool:
    text = encode_notification(notification).encode()
    attributes = notification_attributes(notification, submission_id, audience)
    return len(text) + attribute_bytes(attributes) <= MAXIMUM_MESSAGE_BYTES
