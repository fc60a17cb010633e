"""What is kept about a task for whoever asks after it: one record for each submission."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.tasks.notification import NotifiedError, PictureProvenance
from darkroom.tasks.task import Status, TaskKind


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands. Times are seconds since 1970 (UTC); URLs are s3:// URLs.

    A task's id may be submitted several times; each submission has a record of its own, which no other one touches.
    `cancel_requested` asks the agent that has the task, or will have it, to stop. `image_url_omitted` is how many
    pictures there are, where their URLs are too many to be kept here. `caller` is the name, or an id, of the API key
    that the task was submitted with; the front door alone knows it. `provenance` is what each picture carries.
    """

    id: str
    submission_id: str
    status: Status
    runtime: str
    tasktype: TaskKind | None = None
    output_location: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    image_url: list[str] = msgspec.field(default_factory=list)
    output_url: str | None = None
    error: NotifiedError | None = None
    context: Any = None
    cancel_requested: bool = False
    image_url_omitted: int = 0
    warnings: list[str] = msgspec.field(default_factory=list)
    provenance: list[PictureProvenance | None] = msgspec.field(default_factory=list)
    caller: str | None = None
