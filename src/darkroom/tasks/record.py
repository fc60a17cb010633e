"""What is kept about a task for whoever asks after it: one record for each submission."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.tasks.notification import NotifiedError, PictureProvenance
from darkroom.tasks.task import Priority, Status, TaskKind
from darkroom.tasks.webhook import Webhook


class Setback(msgspec.Struct, frozen=True, omit_defaults=True):
    """A try that came to nothing, and why: the how manieth receipt of the message it was, and who had it then."""

    number: int
    at: float
    reason: str
    agent: str | None = None


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands. Times are seconds since 1970 (UTC); URLs are s3:// URLs.

    A task's id may be submitted several times; each submission has a record of its own, which no other one touches.
    `cancel_requested` asks the agent that has the task, or will have it, to stop. `image_url_omitted` is how many
    pictures there are, where their URLs are too many to be kept here.

    `caller` owns the task: the name, or an id, of the API key that it was submitted with, never the key; "" is nobody,
    as of a task that was published past the front door. `request_digest` is the same for two requests that ask for the
    same. A task that has not begun by `deadline` expires; one of low `priority` waits for those of normal.

    What the agent adds: `started_at` is when the device was first taken for the task, `ended_at` when its end was told;
    `attempts`, how often it was tried; `model`, the checkpoint it was done with, where the runtime has such; `agent`,
    who has or had it; `device_seconds`, how long the last attempt had the device; and when that attempt had the message
    (`received_at`), its links and whatever else it needs (`prepared_at`), and its pictures in the bucket (`stored_at`).
    `provenance` is what each picture carries that says how it came to be. `waits_because` says why a task that was
    tried waits again, and `next_try_at` until when; `setbacks` are the latest tries that came to nothing. `webhook` is
    who is told of the task, where it names somebody itself.
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
    caller: str = ""
    request_digest: str | None = None
    deadline: float | None = None
    priority: Priority = Priority.NORMAL
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0
    model: str | None = None
    agent: str | None = None
    device_seconds: float | None = None
    received_at: float | None = None
    prepared_at: float | None = None
    stored_at: float | None = None
    waits_because: str | None = None
    next_try_at: float | None = None
    setbacks: list[Setback] = msgspec.field(default_factory=list)
    webhook: Webhook | None = None
