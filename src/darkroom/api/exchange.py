"""One HTTP exchange as values, the same for both doors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.replies import ErrorReply

# AWS Lambda's limit for a request, which API Gateway's 10 MB do not widen.
MAXIMUM_BODY_BYTES = 6 * 1024 * 1024
JSON = "application/json"
_LONGEST_QUOTE = 200


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sent. `path` begins after the stage, as in "/v1alpha2/tasks/cat"; its parts are still encoded.

    `base_url` is where that path is found by the caller, without a slash at its end; "" where that is not known.
    `idempotency_key` is that header's value, or None.
    `caller` is the name of whose API key it was sent with, or an id of the key, never the key itself; "" is nobody.
    """

    method: str
    path: str
    content_type: str = ""
    content_encoding: str = ""
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    base_url: str = ""
    last_event_id: str = ""
    idempotency_key: str | None = None
    caller: str = ""


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller is told; `body` is encoded as JSON, but for one of another `media_type`, which is bytes."""

    status: int
    body: Any
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    media_type: str = JSON

    def encode_body(self) -> bytes:
        """The body's bytes."""
        return msgspec.json.encode(self.body) if self.media_type == JSON else bytes(self.body)


def error(
    status: int, message: str, faults: Iterable[Fault] = (), headers: Mapping[str, str] | None = None
) -> HttpReply:
    """A reply that says what was wrong."""
    return HttpReply(status=status, body=ErrorReply(message=message, errors=tuple(faults)), headers=headers or {})


def at_fault(*faults: Fault) -> HttpReply:
    """The request itself is wrong, and this is where."""
    return error(400, "The request cannot be accepted as it is.", faults)


def unknown_parameters(query: Mapping[str, str], known: Collection[str], of: str) -> Iterator[Fault]:
    """A fault for each parameter that `of` does not have: what it should have done would not be done."""
    for name in query:
        if name not in known:
            reason = f"is no parameter of {of}; there are: {', '.join(known)}"
            yield Fault(name[:_LONGEST_QUOTE], reason)


def not_the_operator(parameter: str) -> HttpReply:
    """The caller asks for what only an operator may see."""
    return error(403, f"Only a caller of the role operator may send the parameter {parameter!r}.")


def wrong_host(host: str) -> HttpReply:
    """The request is for a name that is not this front door's."""
    return error(
        403,
        f"This front door is not called {_quoted(host)}. DARKROOM_ALLOWED_HOSTS says what it is called.",
    )


def wrong_origin(origin: str) -> HttpReply:
    """The request comes from a web page that may not ask."""
    return error(
        403,
        f"Pages of {_quoted(origin)} may not use this front door. DARKROOM_CORS_ORIGINS says which may.",
    )


def not_found(path: str) -> HttpReply:
    """There is nothing at this path."""
    return error(404, f"There is nothing at {_quoted(path)}. Send requests to v1alpha1 or v1alpha2.")


def not_found_as_openai_has_it(path: str) -> HttpReply:
    """The same for whoever speaks OpenAI's API."""
    return error(
        404, f"There is nothing at {_quoted(path)}. Use /v1/images/generations, /v1/images/edits or /v1/models."
    )


def stage_missing(path: str, stage: str) -> HttpReply:
    """There is nothing at this path, but there would be below the stage."""
    return error(404, f"There is nothing at {_quoted(path)}: the stage is missing. Use /{stage}{_quoted(path)}.")


def method_not_allowed(method: str, allowed: str) -> HttpReply:
    """There is something at this path, but it takes another method."""
    return error(405, f"{_quoted(method)} is not allowed here; use {allowed}.", headers={"Allow": allowed})


def not_json(content_type: str) -> HttpReply:
    """The body is said to be something else than JSON."""
    given = f"not {content_type[:_LONGEST_QUOTE]!r}" if content_type else "but is missing"
    return error(415, f"The header Content-Type must be {JSON!r}, {given}.")


def not_plain(content_encoding: str) -> HttpReply:
    """The body is said to be compressed."""
    return error(
        415,
        f"A body with Content-Encoding {content_encoding[:_LONGEST_QUOTE]!r} is not taken. "
        "Send it as it is; put large pictures into a bucket and send links to them.",
    )


def body_too_large() -> HttpReply:
    """The body is over the limit."""
    limit = MAXIMUM_BODY_BYTES // (1024 * 1024)
    return error(
        413, f"The request is larger than {limit} MB. Put the picture into a bucket and send a link to it instead."
    )


def no_key() -> HttpReply:
    """There is no API key, or an unknown one."""
    return error(401, "The header x-api-key is missing or holds no valid API key.")


def too_many_requests(retry_after_seconds: int) -> HttpReply:
    """The key's requests come too fast."""
    return error(
        429,
        f"Too many requests with this API key. Try again in {retry_after_seconds} s.",
        headers={"Retry-After": str(retry_after_seconds)},
    )


def too_many_streams(most: int) -> HttpReply:
    """The caller follows events in as many streams as it may."""
    message = f"This API key has {most} streams of events open, which is the most. Close one, and try again."
    return error(429, message, headers={"Retry-After": "5"})


def no_events() -> HttpReply:
    """A door that cannot tell of events is asked for them."""
    return error(404, "This front door tells of no events. Ask after a task with ?wait=20 instead.")


def month_used_up(monthly_tasks: int, month: str, until: datetime) -> HttpReply:
    """The caller has submitted as many tasks as it may in a month. No `Retry-After`: nobody should sleep that long."""
    return error(
        429,
        f"This API key's {monthly_tasks} tasks of {month} are used up. More are taken from {until:%Y-%m-%d %H:%M} UTC; "
        "tasks can still be looked up and cancelled.",
    )


def in_work() -> HttpReply:
    """Another request with the same idempotency key has not been answered yet."""
    return error(
        409,
        "A request with this Idempotency-Key is in work just now. Ask again with the same key for its answer.",
        headers={"Retry-After": "1"},
    )


def key_of_another_request() -> HttpReply:
    """The idempotency key was used for something else."""
    return error(422, "This Idempotency-Key was used for another request within the last day: use a new one.")


def id_taken(task_id: str, status: str, *, is_same: bool) -> HttpReply:
    """The caller has a task of this id and did not want another one."""
    which = "the same request" if is_same else "another request"
    return error(
        409,
        f"There is a task {_quoted(task_id)} already, of {which}; it is {status}. Choose another id, or have a second "
        'task of this one with "on_duplicate": "new".',
    )


def try_again() -> HttpReply:
    """AWS did not take the request; another try may go through."""
    return error(
        503,
        "The request was not accepted, because a service behind the front door is not available. Try again.",
        headers={"Retry-After": "2"},
    )


def out_of_order() -> HttpReply:
    """The front door itself is at fault, and trying again will not help."""
    return error(500, "The front door is out of order: its operator finds the reason in its log.")


def is_json(content_type: str) -> bool:
    """Whether a Content-Type header says JSON, with any parameters."""
    return content_type.partition(";")[0].strip().lower() == JSON


def is_plain(content_encoding: str) -> bool:
    """Whether a Content-Encoding header says that the body is not compressed."""
    return content_encoding.strip().lower() in ("", "identity")


def _quoted(text: str) -> str:
    """What a caller sent, for a reply: of a bounded length, and of characters that can be encoded."""
    shown = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
    return shown.encode(errors="replace").decode()
