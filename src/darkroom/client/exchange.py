"""One request and its answer, without I/O: what is sent, what comes back, and whether to send again.

A call of the client is a generator, a `Flow`: it yields what to send and gets what came back. The two clients drive
these generators, one blocking and one not, and share everything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from darkroom.errors import ApiFailure, ApiUnreachable, Fault, InvalidRequest, WaitTimeout
from darkroom.redaction import shown
from darkroom.tasks.replies import ErrorReply, TaskView

T = TypeVar("T")

_FIRST_BACKOFF_SECONDS = 0.5
_MAXIMUM_BACKOFF_SECONDS = 20.0
_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_TRY_SECONDS = 86_400.0  # no system's clock takes any number of seconds
# What Amazon API Gateway answers by itself does not say what to change.
_GATEWAY_HINTS = {
    "Missing Authentication Token": " (there is nothing at this path: does the endpoint end with its stage, as in "
    "https://....amazonaws.com/prod?)",
    "Forbidden": " (the API key is wrong, or is not allowed to use this stage)",
}
_S3_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Wait `delay_seconds`, then send this, and give up after `timeout_seconds` (None: as long as usual).

    The API key goes along only where `authorised`. `is_repeatable`: to send it twice does what sending it once does.
    `task_id` is the task that it is about. `into`: a success's body goes into this file instead of into memory.
    """

    method: str
    url: str
    body: bytes | None = None
    content_type: str = "application/json"
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    authorised: bool = True
    is_repeatable: bool = True
    task_id: str | None = None
    delay_seconds: float = 0.0
    timeout_seconds: float | None = None
    into: Path | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None = None


class NoResponse(msgspec.Struct, frozen=True):
    """Nothing came back. `sent` is False where the request cannot have reached anybody."""

    reason: str
    sent: bool


Flow = Generator[Send, Response | NoResponse, T]


class Patience:
    """How long a call may take, all tries and pauses together; `clock` is in seconds and only grows."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        if seconds is not None and (not isinstance(seconds, int | float) or math.isnan(seconds)):
            raise InvalidRequest([Fault("timeout_seconds", f"must be a number of seconds, not {seconds!r}")])
        self._seconds = seconds
        self._clock = clock
        self._began = clock()

    @property
    def left(self) -> float:
        """How many seconds there are left; infinite where nobody has set an end."""
        return math.inf if self._seconds is None else self._seconds - (self._clock() - self._began)

    def exhausted(self, task_id: str | None, view: TaskView | None = None) -> WaitTimeout:
        """The error for a call that could not be ended in time; `view` is what was last heard of its task."""
        return WaitTimeout(task_id, None if view is None else view.status, self._seconds or 0.0, view=view)


class Exchanges:
    """Sends, and again after a while where that can help. `random` is from 0 to 1."""

    def __init__(self, *, retries: int, random: Callable[[], float]) -> None:
        self._retries = retries
        self._random = random

    def success(self, send: Send, patience: Patience) -> Flow[Response]:
        """Return a success. Raises `ApiFailure`, `ApiUnreachable`, and `WaitTimeout` when patience is exhausted."""
        tries = 0
        while True:
            left = patience.left
            if left <= send.delay_seconds:
                raise patience.exhausted(send.task_id)
            seconds = None if math.isinf(left) else min(_LONGEST_TRY_SECONDS, left - send.delay_seconds)
            if send.timeout_seconds is not None:
                seconds = min(send.timeout_seconds, math.inf if seconds is None else seconds)
            response = yield msgspec.structs.replace(send, timeout_seconds=seconds)
            if isinstance(response, Response) and response.status < 300:
                return response
            if patience.left <= 0:
                raise patience.exhausted(send.task_id)
            tries += 1
            if tries > self._retries or not _may_help(send, response):
                raise _failure(send, response)
            delay = self._backoff_seconds(tries, response, patience.left)
            send = msgspec.structs.replace(send, delay_seconds=delay)

    def _backoff_seconds(self, tries: int, response: Response | NoResponse, left: float) -> float:
        backoff = min(_MAXIMUM_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** (tries - 1))
        jittered = backoff * (0.5 + 0.5 * self._random())
        told = response.retry_after if isinstance(response, Response) else None
        asked = float(told) if told is not None and told.isdecimal() else 0.0
        # On top of what the server asks for, or all that were refused together come back together. Where there is an
        # end, the pause leaves time for another try.
        return asked + min(jittered, max(_SHORTEST_PAUSE_SECONDS, (left - asked) / 2))


def _may_help(send: Send, response: Response | NoResponse) -> bool:
    """Whether sending again may help, and cannot harm: a task must not be submitted twice by us."""
    if isinstance(response, NoResponse):
        return send.is_repeatable or not response.sent
    if response.status == 409:  # the first try is in work, and was not heard of
        return send.is_repeatable and response.retry_after is not None
    return response.status in (429, 503) or (response.status in (502, 504) and send.is_repeatable)


def _failure(send: Send, response: Response | NoResponse) -> ApiFailure | ApiUnreachable:
    if isinstance(response, NoResponse):
        return ApiUnreachable(shown(send.url), response.reason, send.task_id)
    if not send.authorised:
        return ApiFailure(response.status, _why_no_object(response.body), task_id=send.task_id)
    try:
        reply = msgspec.json.decode(response.body, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = response.body[:200].decode(errors="replace").strip()
        return ApiFailure(response.status, text or "The server gave no reason.", task_id=send.task_id)
    hint = _GATEWAY_HINTS.get(reply.message, "") if response.status == 403 else ""
    return ApiFailure(response.status, reply.message + hint, reply.errors, send.task_id)


def _why_no_object(body: bytes) -> str:
    """What S3 says, by its code alone: the rest of its answer quotes what the link was signed with."""
    code = _S3_CODE.search(body)
    return f"The picture cannot be fetched by its link: {code[1].decode() if code else 'no reason was given'}."
