"""What a client of OpenAI's Images API is answered: pictures, events while it waits, errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from darkroom.errors import Fault
from darkroom.openai.picture_facts import read_facts
from darkroom.openai.request import BadRequest, Kind
from darkroom.openai.translation import Made
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

EventPrefix = Literal["image_generation", "image_edit"]
EVENT_PREFIXES: dict[Kind, EventPrefix] = {"generate": "image_generation", "edit": "image_edit"}
# Ends that are the request's own fault, by the types of their errors: sending it again is of no use.
_REQUEST_FAULTS = frozenset(
    {"InvalidRequest", "GenerationRefused", "LinkRefused", "UnreadableMessage", "MemoryExceeded", "NotFound"}
)
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "service_unavailable",
    504: "timeout",
}
RETRY, NO_RETRY = {"x-should-retry": "true"}, {"x-should-retry": "false"}


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `param` is the field at fault, `errors` has each fault; `task` the task that it is about."""

    message: str
    type: str
    param: str | None
    code: str | None
    errors: tuple[Fault, ...] | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType = msgspec.UNSET


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every reply that is no success."""

    error: ApiError


class Failure(msgspec.Struct, frozen=True):
    """An error with its status, and headers that tell the client whether to send the request again."""

    status: int
    error: ApiError
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One picture: in base64, or where it can be fetched for an hour."""

    b64_json: str | None = None
    url: str | None = None
    seed: int | None = None


class ImagesReply(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures. What OpenAI's own reply does not have (`seed`, `model`, `task`, `warnings`), its clients hand on."""

    created: int
    data: tuple[Image, ...]
    model: str
    task: str
    size: str | None = None
    quality: str | None = None
    output_format: str | None = None
    background: str = "opaque"
    seed: int | None = None
    warnings: tuple[Fault, ...] = ()


def failure(
    status: int,
    message: str,
    *,
    faults: Sequence[Fault] = (),
    code: str | None = None,
    task: str | None = None,
    headers: dict[str, str] | None = None,
) -> Failure:
    """An error of this status; the first of `faults` is its `param`."""
    error = ApiError(
        message=message,
        type=_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        param=next((fault.path or None for fault in faults), None),
        code=code or _CODES.get(status),
        errors=tuple(faults) if len(faults) > 1 else msgspec.UNSET,
        task=msgspec.UNSET if task is None else task,
    )
    return Failure(status, error, headers or {})


def refused(bad: BadRequest) -> Failure:
    """A request that cannot be read or done."""
    is_model = any(fault.path == "model" for fault in bad.faults)
    return failure(400, said(bad.faults), faults=bad.faults, code="model_not_found" if is_model else "invalid_value")


def said(faults: Iterable[Fault]) -> str:
    """Faults as one text."""
    return "; ".join(f"{fault.path}: {fault.reason}" if fault.path else fault.reason for fault in faults)


def failed_task(record: TaskRecord) -> Failure:
    """A task that ended without pictures."""
    task, error = record.id, record.error
    if record.status is Status.CANCELLED:
        return failure(409, f"The task {task!r} was cancelled.", code="task_cancelled", task=task, headers=NO_RETRY)
    if record.status is Status.EXPIRED:
        return failure(503, f"The task {task!r} waited for too long.", code="task_expired", task=task, headers=NO_RETRY)
    type_, message = ("unknown", "no reason was told") if error is None else (error.type, error.message)
    text = f"The task {task!r} failed: {message}"
    if type_ in _REQUEST_FAULTS:
        return failure(400, text, code=type_, task=task)
    can_be_sent_again = error is not None and error.retryable
    return failure(
        503 if can_be_sent_again else 500, text, code=type_, task=task, headers=RETRY if can_be_sent_again else NO_RETRY
    )


def not_yet(record: TaskRecord, seconds: float) -> Failure:
    """A task that has not ended when its door's patience has. The same request again waits for it further."""
    task = record.id
    text = (
        f"The pictures are not ready after {seconds:.0f} s; the task {task!r} goes on. The same request sent again "
        f"waits for it, and GET /v1alpha2/tasks/{task} says where it stands."
    )
    return failure(504, text, code="task_in_work", task=task, headers={**RETRY, "Retry-After": "1"})


def images_reply(
    record: TaskRecord, made: Made, pictures: Sequence[Image], first: bytes | None, now: float
) -> ImagesReply:
    """The reply for a task that completed; `first` is its first picture, where it was read."""
    facts = None if first is None else read_facts(first)
    size = made.size if facts is None else (facts.width, facts.height)
    told = tuple(Fault("", text) for text in record.warnings)
    return ImagesReply(
        created=int(record.updated_at or now),
        data=tuple(
            msgspec.structs.replace(picture, seed=made.seed + number if made.seeds_count else made.seed)
            for number, picture in enumerate(pictures)
        ),
        model=made.model,
        task=record.id,
        size=None if size is None else f"{size[0]}x{size[1]}",
        quality=made.quality,
        output_format=None if facts is None else facts.format,
        seed=made.seed,
        warnings=(*made.warnings, *told),
    )


def events(kind: Kind, reply: ImagesReply) -> Iterator[bytes]:
    """The events of pictures that are done: one for each, all of them completed."""
    name = f"{EVENT_PREFIXES[kind]}.completed"
    for number, picture in enumerate(reply.data):
        yield event(
            {
                "type": name,
                "b64_json": picture.b64_json or "",
                **({"url": picture.url} if picture.url else {}),
                "created_at": reply.created,
                "size": reply.size or "auto",
                "quality": reply.quality or "auto",
                "background": reply.background,
                "output_format": reply.output_format or "png",
                "usage": {
                    "input_tokens": 0,
                    "output_tokens": 0,
                    "total_tokens": 0,
                    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                },
                "index": number,
                "seed": picture.seed,
                "model": reply.model,
                "task": reply.task,
            },
            name,
        )


def error_event(error: ApiError) -> bytes:
    """The event of an error, which its clients raise."""
    return event({"error": msgspec.to_builtins(error)})


def event(data: dict[str, Any], name: str | None = None) -> bytes:
    """One server-sent event. Never without data: clients of this API read each block as JSON."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients leave out, so that nobody in between takes the connection for dead."""
    return b": " + text.encode() + b"\n\n"
