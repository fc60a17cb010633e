"""What the front door answers beside the two `AcceptedReply`s: errors, and where a task stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.heartbeat import Heartbeat
from darkroom.tasks.notification import NotifiedError, PictureProvenance
from darkroom.tasks.progress import Progress
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import JsonObject, Priority, Status, TaskKind
from darkroom.tasks.usage import DayUsage


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


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task stands in its queue: how many are before it, and when it starts (seconds since 1970). Estimates.

    A task that an agent has fetched has no position.
    """

    position: int | None = None
    starts_at: float | None = None


class UploadReply(msgspec.Struct, frozen=True, kw_only=True):
    """Where a picture can be sent, by PUT and with these headers, until `expires_at`.

    `link` is what to write into a request in place of the picture; it is good for 15 days.
    """

    upload_url: str
    headers: dict[str, str]
    link: str
    expires_at: datetime


class SetbackView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A try that came to nothing: its number, when it was given up and why; an operator is told which agent had it."""

    number: int
    at: datetime
    reason: str
    agent: str | None = None


class TaskView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands, in the field names of the guide's notification. Times are UTC.

    `result` is unset until the task has ended. `links` are there when they were asked for and the task has pictures.
    `image_url_omitted` is how many pictures there are, where `image_url` is empty because it would be too long; `links`
    lead to them. `provenance` says of each picture, in their order, what it carries that says how it came to be.

    `started_at` is when the device was first taken for the task, `attempts` how often it was tried, `model` the
    checkpoint that it was done with, `device_seconds` how long the last attempt had the device; `received_at` is when
    an agent had that attempt's message, `prepared_at` when it had all that it needs, `stored_at` when its pictures were
    in the bucket. `progress` is there while it runs, where the runtime reports any. `waits_because` and `next_try_at`
    are there while a task that was tried waits again; `setbacks` are its latest tries that came to nothing. `position`
    is how many tasks are likely to be begun before one that is queued, and `estimated_start` when it is likely to be
    begun: estimates, where anything tells. An operator alone is told `caller`, whose the task is ("": nobody's), and
    `agent`, who has it.
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
    deadline: datetime | None = None
    priority: Priority = Priority.NORMAL
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    model: str | None = None
    device_seconds: float | None = None
    received_at: datetime | None = None
    prepared_at: datetime | None = None
    stored_at: datetime | None = None
    progress: Progress | None = None
    waits_because: str | None = None
    next_try_at: datetime | None = None
    setbacks: list[SetbackView] = msgspec.field(default_factory=list)
    position: int | None = None
    estimated_start: datetime | None = None
    agent: str | None = None
    caller: str | msgspec.UnsetType = msgspec.UNSET
    provenance: list[PictureProvenance | None] = msgspec.field(default_factory=list)

    @classmethod
    def of(
        cls,
        record: TaskRecord,
        links: Links | None = None,
        *,
        progress: Progress | None = None,
        place: Place | None = None,
        for_operator: bool = False,
    ) -> TaskView:
        """What a caller may see of `record`; an operator also sees whose it is."""
        return cls(
            id=record.id,
            status=record.status,
            runtime=record.runtime,
            output_location=record.output_location,
            created_at=_time(record.created_at),
            updated_at=_time(record.updated_at),
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
            deadline=_time_or_none(record.deadline),
            priority=record.priority,
            started_at=_time_or_none(record.started_at),
            ended_at=_time_or_none(record.ended_at),
            attempts=record.attempts,
            model=record.model,
            device_seconds=record.device_seconds,
            received_at=_time_or_none(record.received_at),
            prepared_at=_time_or_none(record.prepared_at),
            stored_at=_time_or_none(record.stored_at),
            progress=None if record.status.is_terminal else progress,
            waits_because=None if record.status.is_terminal else record.waits_because,
            next_try_at=None if record.status.is_terminal else _time_or_none(record.next_try_at),
            setbacks=[
                SetbackView(
                    number=one.number, at=_time(one.at), reason=one.reason, agent=one.agent if for_operator else None
                )
                for one in record.setbacks
            ],
            position=None if place is None else place.position,
            estimated_start=None if place is None else _time_or_none(place.starts_at),
            agent=record.agent if for_operator else None,
            caller=record.caller if for_operator else msgspec.UNSET,
            provenance=record.provenance,
        )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)


class TaskList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks, newest first. There may be older ones while `next` is set, also where `tasks` is short or empty."""

    tasks: list[TaskView]
    next: str | None = None


class WorkflowView(msgspec.Struct, frozen=True, kw_only=True):
    """A ComfyUI workflow that a deployment has, and the places in it, as in `6.text`, that a request's values go to."""

    workflow: JsonObject
    slots: dict[str, list[str]]


class AgentView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent, as it said of itself at `seen_at`: see `darkroom.tasks.heartbeat.Heartbeat`.

    `state` is `gone` for one that has said nothing since, for longer than an agent keeps silent.
    """

    agent: str
    state: str
    seen_at: datetime
    in_work: int
    model: str | None = None
    service_seconds: float | None = None
    duty: float | None = None

    @classmethod
    def of(cls, heartbeat: Heartbeat, now: float) -> AgentView:
        """What an operator sees of an agent at `now`, in seconds since 1970."""
        return cls(
            agent=heartbeat.agent,
            state=heartbeat.state if heartbeat.is_alive(now) else "gone",
            seen_at=_time(heartbeat.seen_at),
            in_work=heartbeat.in_work,
            model=heartbeat.model,
            service_seconds=heartbeat.service_seconds,
            duty=heartbeat.duty,
        )


class RuntimeView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A runtime. What is not known is left out.

    `models` are those that it has, or can load where `loads_models`; `loaded` those that are ready now. `waiting` and
    `in_work` count tasks, about; `agents_ready` the agents that take tasks. `estimated_wait_seconds` is how long a task
    would wait that came now: an estimate, and there only while an agent takes tasks and has shown its pace. A task
    takes the device `service_seconds`; the oldest that waits does so for `oldest_seconds` at most. An operator alone
    is told of each of the `agents`, and how many `dead_letters` there are, about. `workflows` are those of config.yaml,
    by what they do (`generate`, `edit`), where they were asked for.
    """

    name: str
    type: str
    tasktypes: list[TaskKind]
    models: list[str]
    agents_ready: int
    loaded: list[str] = msgspec.field(default_factory=list)
    loads_models: bool = False
    waiting: int | None = None
    in_work: int | None = None
    estimated_wait_seconds: float | None = None
    service_seconds: float | None = None
    oldest_seconds: float | None = None
    agents: list[AgentView] | msgspec.UnsetType = msgspec.UNSET
    dead_letters: int | None = None
    workflows: dict[str, WorkflowView] = msgspec.field(default_factory=dict)


class RuntimeList(msgspec.Struct, frozen=True, kw_only=True):
    """The runtimes of the deployment."""

    runtimes: list[RuntimeView]


class UsageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller has used of one runtime on one day (UTC): tasks by how they ended, pictures, and device time.

    `device_seconds` are those of the tries that ended the tasks; `estimated_usd` is what they cost by the price of an
    hour of the device, where that is known. Nobody's tasks have an empty `caller`.
    """

    day: str
    caller: str
    runtime: str
    tasks: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    pictures: int
    device_seconds: float
    estimated_usd: float | None = None

    @classmethod
    def of(cls, day: DayUsage, device_hour_usd: float | None) -> UsageView:
        """What a caller may see of a day."""
        usage = day.usage
        cost = None if device_hour_usd is None else round(usage.device_seconds / 3600 * device_hour_usd, 6)
        told = {**msgspec.structs.asdict(usage), "device_seconds": round(usage.device_seconds, 3)}
        return cls(day=day.day, caller=day.caller, runtime=day.runtime, tasks=usage.tasks, estimated_usd=cost, **told)


class UsageReply(msgspec.Struct, frozen=True, kw_only=True, rename={"first_day": "from", "last_day": "to"}):
    """Usage from one day to another, both included: by caller, day and runtime, in order."""

    first_day: str
    last_day: str
    usage: list[UsageView]
