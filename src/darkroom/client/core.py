"""What the client does, without I/O: each call is a generator that yields what to send and gets what came back.

The two clients drive these generators, one blocking and one not, and share everything in here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Mapping
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

import msgspec

from darkroom.client.requests import TaskRequest
from darkroom.errors import ApiFailure, ApiUnreachable, Fault, TaskFailed, WaitTimeout
from darkroom.redaction import shown
from darkroom.tasks.replies import ErrorReply, TaskView
from darkroom.tasks.task import JsonObject, Status

T = TypeVar("T")

_FIRST_BACKOFF_SECONDS = 0.5
_MAXIMUM_BACKOFF_SECONDS = 20.0
_FIRST_POLL_SECONDS = 0.3
_MAXIMUM_POLL_SECONDS = 3.0


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Wait `delay_seconds`, then send this. `body` is JSON; the API key goes along only where `authorised`."""

    method: str
    url: str
    body: bytes | None = None
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    authorised: bool = True
    delay_seconds: float = 0.0


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None = None


class NoResponse(msgspec.Struct, frozen=True):
    """Nothing came back. `sent` is False where the request cannot have reached anybody."""

    reason: str
    sent: bool


# What Amazon API Gateway answers by itself does not say what to change.
_GATEWAY_HINTS = {
    "Missing Authentication Token": " (there is nothing at this path: does the endpoint end with its stage, as in "
    "https://....amazonaws.com/prod?)",
    "Forbidden": " (the API key is wrong, or is not allowed to use this stage)",
}
_S3_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")

Flow = Generator[Send, Response | NoResponse, T]
ProgressListener = Callable[[TaskView], None]


class Accepted(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "id_task"}):
    """The task was accepted: its pictures will lie at `output_location`.

    `warnings` say what of the request is ignored, or taken for something else than was written.
    """

    id: str
    output_location: str
    warnings: tuple[Fault, ...] = ()


class RequestWarning(UserWarning):
    """A request will not be done quite as it is written (the front door says so), or was not (the runtime does)."""


class Picture(msgspec.Struct, frozen=True):
    """A picture: the last part of its object key, and its bytes."""

    name: str
    data: bytes


class Core:
    """The calls. `endpoint` reaches up to and including the stage; `clock` is in seconds, `random` from 0 to 1."""

    def __init__(self, endpoint: str, *, retries: int, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._retries = retries
        self._clock = clock
        self._random = random

    def submit(self, request: TaskRequest | JsonObject) -> Flow[Accepted]:
        """Send a request, or a body as the guide has it, of either version."""
        body = request.to_document() if isinstance(request, TaskRequest) else request
        version = "v1alpha1" if "task" not in body and "alwayson_scripts" in body else "v1alpha2"
        response = yield from self._exchange(
            Send(method="POST", url=f"{self._endpoint}/{version}", body=msgspec.json.encode(body))
        )
        accepted = self._decode(response, Accepted)
        for warning in accepted.warnings:
            warnings.warn(RequestWarning(f"{warning.path} {warning.reason}"), stacklevel=2)
        return accepted

    def status(
        self, task_id: str, *, links: bool = False, first: int = 1, delay_seconds: float = 0.0
    ) -> Flow[TaskView]:
        """Ask where a task stands, and for `links` from picture number `first`."""
        query = {"links": "true"} if links else {}
        if first > 1:
            query["from"] = str(first)
        url = self._task_url(task_id)
        response = yield from self._exchange(Send(method="GET", url=url, query=query, delay_seconds=delay_seconds))
        return self._decode(response, TaskView)

    def cancel(self, task_id: str) -> Flow[TaskView]:
        """Ask for a task to be stopped."""
        response = yield from self._exchange(Send(method="PUT", url=f"{self._task_url(task_id)}/cancel"))
        return self._decode(response, TaskView)

    def wait(self, task_id: str, *, timeout_seconds: float | None, progress: ProgressListener | None) -> Flow[TaskView]:
        """Ask until the task has ended, less often as time goes by."""
        began = self._clock()
        poll_seconds = 0.0
        while True:
            view = yield from self.status(task_id, delay_seconds=poll_seconds)
            if progress is not None:
                progress(view)
            if view.status.is_terminal:
                return view
            poll_seconds = min(_MAXIMUM_POLL_SECONDS, max(_FIRST_POLL_SECONDS, poll_seconds * 1.3))
            if timeout_seconds is not None and self._clock() - began + poll_seconds > timeout_seconds:
                raise WaitTimeout(task_id, view.status, timeout_seconds)

    def download(self, task_id: str) -> Flow[list[Picture]]:
        """Fetch the pictures of a task that has ended; what was done otherwise than asked for is a `RequestWarning`."""
        view = yield from self.status(task_id, links=True)
        if view.status is not Status.COMPLETED:
            raise TaskFailed(task_id, view.status, why_it_failed(view))
        for warning in view.warnings:
            warnings.warn(RequestWarning(warning), stacklevel=2)
        pictures: list[Picture] = []
        count = view.image_url_omitted or len(view.image_url)
        while len(pictures) < count:
            links = view.links.image_url if view.links else []
            if not links:
                raise ApiFailure(200, f"only {len(pictures)} of the {count} pictures of task {task_id} can be found")
            for link in links:
                # Where the URLs are too many for a reply, the links still have the pictures' names.
                url = view.image_url[len(pictures)] if view.image_url else unquote(urlsplit(link).path)
                response = yield from self._exchange(Send(method="GET", url=link, authorised=False))
                pictures.append(Picture(name=url.rsplit("/", 1)[-1], data=response.body))
            if len(pictures) < count:
                view = yield from self.status(task_id, links=True, first=len(pictures) + 1)
        return pictures

    def generate(
        self, request: TaskRequest | JsonObject, *, timeout_seconds: float | None, progress: ProgressListener | None
    ) -> Flow[list[Picture]]:
        """Submit, wait, download."""
        accepted = yield from self.submit(request)
        yield from self.wait(accepted.id, timeout_seconds=timeout_seconds, progress=progress)
        return (yield from self.download(accepted.id))

    def _task_url(self, task_id: str) -> str:
        return f"{self._endpoint}/v1alpha2/tasks/{quote(task_id, safe='')}"

    def _exchange(self, send: Send) -> Flow[Response]:
        """Send, and again after a while where that can help, and return a success."""
        tries = 0
        while True:
            response = yield send
            if isinstance(response, Response) and response.status < 300:
                return response
            tries += 1
            if tries > self._retries or not _may_help(send, response):
                raise _failure(send, response)
            send = msgspec.structs.replace(send, delay_seconds=self._backoff_seconds(tries, response))

    def _backoff_seconds(self, tries: int, response: Response | NoResponse) -> float:
        backoff = min(_MAXIMUM_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** (tries - 1))
        jittered = backoff * (0.5 + 0.5 * self._random())
        asked = response.retry_after if isinstance(response, Response) else None
        # On top of what the server asks for, or all that were refused together come back together.
        return float(asked) + jittered if asked is not None and asked.isdecimal() else jittered

    def _decode(self, response: Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = f"{self._endpoint} is no front door of Darkroom; its answer cannot be read: {error}"
            raise ApiFailure(response.status, reason) from None


def why_it_failed(view: TaskView) -> str:
    """Why a task has no pictures, for a person to read."""
    return view.error.message if view.error is not None else "there is no reason on record"


def _may_help(send: Send, response: Response | NoResponse) -> bool:
    """Whether sending again may help, and cannot harm: a task must not be submitted twice by us."""
    if isinstance(response, NoResponse):
        return send.method != "POST" or not response.sent
    return response.status in (429, 503) or (response.status in (502, 504) and send.method != "POST")


def _failure(send: Send, response: Response | NoResponse) -> ApiFailure | ApiUnreachable:
    if isinstance(response, NoResponse):
        return ApiUnreachable(shown(send.url), response.reason)
    if not send.authorised:
        return ApiFailure(response.status, _why_no_object(response.body))
    try:
        reply = msgspec.json.decode(response.body, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = response.body[:200].decode(errors="replace").strip()
        return ApiFailure(response.status, text or "The server gave no reason.")
    hint = _GATEWAY_HINTS.get(reply.message, "") if response.status == 403 else ""
    return ApiFailure(response.status, reply.message + hint, reply.errors)


def _why_no_object(body: bytes) -> str:
    """What S3 says, by its code alone: the rest of its answer quotes what the link was signed with."""
    code = _S3_CODE.search(body)
    return f"The picture cannot be fetched by its link: {code[1].decode() if code else 'no reason was given'}."
