"""One message on its way through the agent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from darkroom.agent.budget import JobMemory
from darkroom.agent.lease import Lease
from darkroom.agent.spans import NoSpan, Span
from darkroom.errors import DarkroomError
from darkroom.policy.object_keys import TaskObjects
from darkroom.policy.outcomes import Tries
from darkroom.provenance.origin import Origin
from darkroom.runtimes.protocol import Prepared
from darkroom.tasks.message import Delivery, audience_of, owner_of
from darkroom.tasks.task import Task


@dataclass(eq=False)
class Job:
    """A task that was read from a message, and everything that the agent knows about it.

    `received_at` is by the monotonic clock; `submitted_at`, when it came into the queue, in seconds since 1970.
    `looked_at` is when an end of the submission was last looked for, by the monotonic clock.
    `prepared_at` is when it had all that it needs for the device, and `stored_at` when its pictures were in the bucket,
    in seconds since 1970.
    `began_at` is when the device was taken for it, in seconds since 1970, and `device_seconds` how long it had it;
    `model` is the checkpoint that it is done with, where that is known. `is_recorded`: that it began stands in its
    record. `lost_agent` had it before, and went away with it; `noting` writes that down.
    `origin` says how its pictures come to be, where they are to say that.
    `stop_reason` is set by whoever stops the work on it from outside: a lost lease, a shutdown, a user's cancellation.
    `was_run` is true once the runtime has delivered. `settling` is true from the moment when its end is being written
    down; from then on only a lost lease stops it. `memory` counts what is held for it.
    """

    task: Task
    delivery: Delivery
    lease: Lease
    objects: TaskObjects
    tries: Tries
    memory: JobMemory
    received_at: float
    submitted_at: float
    prepared: Prepared | None = None
    origin: Origin | None = None
    overtaken: int = 0
    looked_at: float = 0.0
    prepared_at: float | None = None
    stored_at: float | None = None
    began_at: float | None = None
    device_seconds: float | None = None
    model: str | None = None
    is_recorded: bool = False
    lost_agent: str | None = None
    noting: asyncio.Task[None] | None = field(default=None, repr=False)
    stop_reason: DarkroomError | None = None
    was_run: bool = False
    settling: bool = False
    span: Span = field(default_factory=NoSpan, repr=False)
    activity: asyncio.Task[None] | None = field(default=None, repr=False)

    def stop(self, reason: DarkroomError) -> None:
        """End the work on this job as soon as possible, for `reason`."""
        if self.stop_reason is None and self.activity is not None and not self.activity.done():
            self.stop_reason = reason
            self.activity.cancel()

    @property
    def caller(self) -> str:
        """Whose task it is; "" is nobody."""
        return owner_of(self.delivery.attributes)

    @property
    def audience(self) -> dict[str, str]:
        """The attributes of its notifications that say for whom they are."""
        return audience_of(self.delivery.attributes, self.task.webhook)

    @property
    def log_fields(self) -> dict[str, object]:
        """What every log line about this job says."""
        fields: dict[str, object] = {
            "task_id": self.task.id,
            "kind": self.task.kind.value,
            "submission_id": self.delivery.submission_id,
            "received": self.tries.received,
        }
        if self.lease.message.trace_header:
            fields["trace"] = self.lease.message.trace_header
        if self.lease.message.group:
            fields["group"] = self.lease.message.group
        return fields


def uncancel() -> None:
    """Take back a cancellation that was meant for the work on a job, not for the coroutine that now cleans up."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
