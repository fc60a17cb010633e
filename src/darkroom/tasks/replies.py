"""What the front door answers beside the two `AcceptedReply`s: errors, and where a task stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.notification import NotifiedError, PictureProvenance
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status, TaskKind


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every reply that is not a success. `errors` has each fault of the request and where it stands."""

    message: str
    errors: tuple[Fault, ...] = ()


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """The same objects as the s3:// URLs of these names, as URLs that anybody can open for a while.

    `image_url` begins with the picture that was asked for, and may end before the last one: ask for the others then.
    """

    image_url: list[str]
    output_url: str | None = None
    expires_at: datetime


class UploadReply(msgspec.Struct, frozen=True, kw_only=True):
    """Where a picture can be sent, by PUT and with these headers, until `expires_at`.

    `link` is what to write into a request in place of the picture; it is good for 15 days.
    """

    upload_url: str
    headers: dict[str, str]
    link: str
    expires_at: datetime


class TaskView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands, in the field names of the guide's notification. Times are UTC.

    `result` is unset until the task has ended. `links` are there when they were asked for and the task has pictures.
    `image_url_omitted` is how many pictures there are, where `image_url` is empty because it would be too long; `links`
    lead to them. `provenance` says of each picture, in their order, what it carries that says how it came to be.
    `caller` is whose the task is, which an operator alone is told: "" is nobody's.
    """

    id: str
    status: Status
    runtime: str
    output_location: str
    created_at: datetime
    updated_at: datetime
    tasktype: TaskKind | None = None
    result: bool | msgspec.UnsetType = msgspec.UNSET
    image_url: list[str] = msgspec.field(default_factory=list)
    output_url: str | None = None
    context: Any = None
    error: NotifiedError | None = None
    warnings: list[str] = msgspec.field(default_factory=list)
    cancel_requested: bool = False
    links: Links | None = None
    image_url_omitted: int = 0
    provenance: list[PictureProvenance | None] = msgspec.field(default_factory=list)
    caller: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, record: TaskRecord, links: Links | None = None, *, for_operator: bool = False) -> TaskView:
        """What a caller may see of `record`; an operator also sees whose it is."""
        return cls(
            id=record.id,
            status=record.status,
            runtime=record.runtime,
            output_location=record.output_location,
            created_at=datetime.fromtimestamp(record.created_at, UTC),
            updated_at=datetime.fromtimestamp(record.updated_at, UTC),
            tasktype=record.tasktype,
            result=record.status is Status.COMPLETED if record.status.is_terminal else msgspec.UNSET,
            image_url=record.image_url,
            output_url=record.output_url,
            context=record.context,
            error=record.error,
            warnings=record.warnings,
            cancel_requested=record.cancel_requested,
            links=links,
            image_url_omitted=record.image_url_omitted,
            provenance=record.provenance,
            caller=record.caller if for_operator else msgspec.UNSET,
        )


class TaskList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks, newest first. There may be older ones while `next` is set, also where `tasks` is short or empty."""

    tasks: list[TaskView]
    next: str | None = None
