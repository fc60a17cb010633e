"""What a user asks for: a task, and the states that it goes through."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from darkroom.tasks.webhook import Webhook

JsonObject = dict[str, Any]


def object_or_empty(value: Any) -> JsonObject:
    """`value` where it is a JSON object; else an empty one."""
    return value if isinstance(value, dict) else {}


class TaskKind(StrEnum):
    """What is to be done; the guide calls it `tasktype`."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"
    PIPELINE = "pipeline"

    @classmethod
    def _missing_(cls, value: object) -> TaskKind | None:
        """The guide's older requests have this one in the singular."""
        return cls.EXTRA_BATCH_IMAGES if value == "extra-batch-image" else None


class Status(StrEnum):
    """Where a task stands. The last four are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (Status.QUEUED, Status.RUNNING)


class OnDuplicate(StrEnum):
    """What is done where the caller has a task of the same id: the first one's reply, another task, or nothing."""

    RETURN = "return"
    NEW = "new"
    REFUSE = "refuse"


class Priority(StrEnum):
    """Whether a task waits for those of others: a low one is begun when none of normal priority waits, or in time."""

    LOW = "low"
    NORMAL = "normal"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted request.

    `content` is the runtime's own request body; `context` is the user's own data, returned in every notification;
    `timeout_seconds`, when set, bounds the generation alone, not the time in the queue. A task that has not begun by
    `deadline`, in seconds since 1970, is not begun any more. `webhook` is who is told of it.
    """

    id: str
    runtime: str
    kind: TaskKind
    prefix: str
    content: JsonObject
    context: Any = msgspec.field(default_factory=dict)
    timeout_seconds: float | None = None
    webhook: Webhook | None = None
    deadline: float | None = None
    priority: Priority = Priority.NORMAL
