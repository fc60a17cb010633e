"""What the client does, without I/O: each call is a `Flow` that both clients drive."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import msgspec

from darkroom.client.exchange import Exchanges, Flow, Patience, Response, Send
from darkroom.client.failures import failed
from darkroom.client.inputs import LARGEST_BODY_BYTES, decoded, large_pictures, replaced
from darkroom.client.pictures import Picture, PictureLink, file_name
from darkroom.client.requests import TaskRequest
from darkroom.errors import ApiFailure, Fault, InvalidRequest
from darkroom.tasks.replies import RuntimeList, RuntimeView, TaskList, TaskView, UploadReply
from darkroom.tasks.task import JsonObject, Status

T = TypeVar("T")

_FIRST_POLL_SECONDS = 0.3
_MAXIMUM_POLL_SECONDS = 3.0
# A front door that is asked to wait answers when something changes, or after so long.
_LONGEST_WAIT_SECONDS = 20
_ROOM_FOR_AN_ANSWER_SECONDS = 15.0

ProgressListener = Callable[[TaskView], None]


class Accepted(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "id_task"}):
    """The task was accepted: its pictures will lie at `output_location`.

    `warnings` say what of the request is ignored, or taken for something else than was written.
    """

    id: str
    output_location: str
    status_url: str | None = None
    warnings: tuple[Fault, ...] = ()


class RequestWarning(UserWarning):
    """A request will not be done quite as it is written (the front door says so), or was not (the runtime does)."""


class Core:
    """The calls. `endpoint` reaches up to and including the stage; `clock` is in seconds, `random` from 0 to 1.

    `new_key` makes a text that nobody has made before. `caller` is whose tasks an operator means;
    None: the key's own.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        retries: int,
        clock: Callable[[], float],
        random: Callable[[], float],
        new_key: Callable[[], str],
        caller: str | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._exchanges = Exchanges(retries=retries, random=random)
        self._clock = clock
        self._new_key = new_key
        self._whose = {} if caller is None else {"caller": caller}

    def patience(self, seconds: float | None) -> Patience:
        """Patience for a call that begins now."""
        return Patience(seconds, self._clock)

    def submit(self, request: TaskRequest | JsonObject, patience: Patience) -> Flow[Accepted]:
        """Send a request, or a body as the guide has it, of either version; sent again, it is the same submission."""
        document = request.to_document() if isinstance(request, TaskRequest) else request
        if not isinstance(document, Mapping):
            what = type(document).__name__
            raise InvalidRequest([Fault("", f"a request must be a TaskRequest or a dictionary, not a {what}")])
        body = yield from self._small_enough(document, patience)
        version = "v1alpha1" if "task" not in body and "alwayson_scripts" in body else "v1alpha2"
        send = Send(
            method="POST",
            url=f"{self._endpoint}/{version}",
            body=msgspec.json.encode(body),
            headers={"idempotency-key": f'"{self._new_key()}"'},
            task_id=_id_of(body),
        )
        try:
            response = yield from self._exchanges.success(send, patience)
        except ApiFailure as failure:
            if not any(fault.path == "Idempotency-Key" for fault in failure.faults):
                raise
            # A deployment without a table keeps no keys: then a request that may have arrived is not sent again.
            unkeyed = msgspec.structs.replace(send, headers={}, is_repeatable=False)
            response = yield from self._exchanges.success(unkeyed, patience)
        accepted = self._decode(response, Accepted)
        for warning in accepted.warnings:
            warnings.warn(RequestWarning(f"{warning.path} {warning.reason}"), stacklevel=2)
        return accepted

    def _small_enough(self, document: JsonObject, patience: Patience) -> Flow[JsonObject]:
        """The request, with links in place of its large pictures where it would be larger than a front door takes."""
        try:
            if len(msgspec.json.encode(document)) <= LARGEST_BODY_BYTES:
                return document
        except (TypeError, ValueError) as error:
            hint = "a picture in a workflow goes to the bucket by `upload`, and its link into the request"
            raise InvalidRequest([Fault("", f"the request cannot be written as JSON: {error}; {hint}")]) from None
        links: dict[str, str] = {}
        for picture in large_pictures(document):
            links[picture] = yield from self.upload(decoded(picture) or b"", patience)
        return cast("JsonObject", replaced(document, links))

    def upload(self, data: bytes, patience: Patience) -> Flow[str]:
        """Send a picture to the bucket, and return the link that stands for it in requests."""
        wanted = msgspec.json.encode({"size_bytes": len(data)})
        send = Send(method="POST", url=f"{self._endpoint}/v1alpha2/uploads", body=wanted)
        reply = self._decode((yield from self._exchanges.success(send, patience)), UploadReply)
        headers = {name: value for name, value in reply.headers.items() if name.lower() != "content-type"}
        content_type = reply.headers.get("Content-Type", "application/octet-stream")
        yield from self._exchanges.success(
            Send(
                method="PUT",
                url=reply.upload_url,
                body=data,
                headers=headers,
                content_type=content_type,
                authorised=False,
            ),
            patience,
        )
        return reply.link

    def status(
        self,
        task_id: str,
        patience: Patience,
        *,
        links: bool = False,
        first: int = 1,
        wait_seconds: int = 0,
        delay_seconds: float = 0.0,
    ) -> Flow[TaskView]:
        """Ask where a task stands, and for `links` from picture number `first`.

        With `wait_seconds`, the front door answers when that changes, or after so long.
        """
        query = {**self._whose, **({"links": "true"} if links else {})}
        if first > 1:
            query["from"] = str(first)
        if wait_seconds > 0:
            query["wait"] = str(wait_seconds)
        response = yield from self._exchanges.success(
            Send(
                method="GET",
                url=self._task_url(task_id),
                query=query,
                task_id=task_id,
                delay_seconds=delay_seconds,
                timeout_seconds=wait_seconds + _ROOM_FOR_AN_ANSWER_SECONDS if wait_seconds else None,
            ),
            patience,
        )
        return self._decode(response, TaskView)

    def tasks(self, query: Mapping[str, str], patience: Patience) -> Flow[TaskList]:
        """Ask for a page of the caller's tasks."""
        send = Send(method="GET", url=f"{self._endpoint}/v1alpha2/tasks", query={**query, **self._whose})
        return self._decode((yield from self._exchanges.success(send, patience)), TaskList)

    def runtimes(self, patience: Patience) -> Flow[list[RuntimeView]]:
        """Ask for the runtimes."""
        send = Send(method="GET", url=f"{self._endpoint}/v1alpha2/runtimes")
        return self._decode((yield from self._exchanges.success(send, patience)), RuntimeList).runtimes

    def ask(self, method: str, path: str, kind: type[T], query: Mapping[str, str], patience: Patience) -> Flow[T]:
        """Ask for what is at `path` of the front door. Only a GET is sent again where it may have arrived."""
        send = Send(method=method, url=f"{self._endpoint}/{path}", query=query, is_repeatable=method == "GET")
        return self._decode((yield from self._exchanges.success(send, patience)), kind)

    def cancel(self, task_id: str, patience: Patience) -> Flow[TaskView]:
        """Ask for a task to be stopped."""
        url = f"{self._task_url(task_id)}/cancel"
        send = Send(method="PUT", url=url, query=self._whose, task_id=task_id)
        return self._decode((yield from self._exchanges.success(send, patience)), TaskView)

    def change(self, task_id: str, before: TaskView | None, patience: Patience) -> Flow[TaskView]:
        """Ask until a task is not as it was `before`, and return how it is; at once where it has ended."""
        poll_seconds = 0.0
        while True:
            wait_seconds = 0 if before is None else int(min(_LONGEST_WAIT_SECONDS, max(0.0, patience.left)))
            asked_at = self._clock()
            if patience.left <= poll_seconds:
                raise patience.exhausted(task_id, before)
            view = yield from self.status(task_id, patience, wait_seconds=wait_seconds, delay_seconds=poll_seconds)
            if before is None or view.status.is_terminal or _differs(view, before):
                return view
            before = view
            if patience.left <= 0:
                raise patience.exhausted(task_id, view)
            # A front door that does not wait is asked less often as time goes by.
            waited = self._clock() - asked_at >= 1.0
            poll_seconds = 0.0 if waited else min(_MAXIMUM_POLL_SECONDS, max(_FIRST_POLL_SECONDS, poll_seconds * 1.3))

    def wait(self, task_id: str, patience: Patience, progress: ProgressListener | None) -> Flow[TaskView]:
        """Ask until the task has ended."""
        view: TaskView | None = None
        while True:
            view = yield from self.change(task_id, view, patience)
            if progress is not None:
                progress(view)
            if view.status.is_terminal:
                return view

    def download(self, task_id: str, patience: Patience) -> Flow[list[Picture]]:
        """Fetch the pictures of a completed task."""

        def fetch(link: PictureLink) -> Flow[Picture]:
            return Picture(name=link.name, data=(yield from self._fetch(link, task_id, patience)))

        return (yield from self._each_picture(task_id, patience, fetch))

    def save(self, task_id: str, folder: Path, patience: Patience) -> Flow[list[Path]]:
        """Fetch the pictures of a completed task into files in `folder`, one after the other."""

        def fetch(link: PictureLink) -> Flow[Path]:
            path = folder / link.name
            yield from self._fetch(link, task_id, patience, into=path)
            return path

        return (yield from self._each_picture(task_id, patience, fetch))

    def _each_picture(self, task_id: str, patience: Patience, fetch: Callable[[PictureLink], Flow[T]]) -> Flow[list[T]]:
        """Fetch each picture of a completed task; what was done otherwise than asked for is a `RequestWarning`."""
        view = yield from self.status(task_id, patience, links=True)
        if view.status is not Status.COMPLETED:
            raise failed(view)
        for warning in view.warnings:
            warnings.warn(RequestWarning(warning), stacklevel=2)
        fetched: list[T] = []
        count = view.image_url_omitted or len(view.image_url)
        while len(fetched) < count:
            links = view.links.image_url if view.links else []
            if not links:
                reason = f"only {len(fetched)} of the {count} pictures of task {task_id} can be found"
                raise ApiFailure(200, reason, task_id=task_id)
            for link in links:
                # Where the URLs are too many for a reply, the links still have the pictures' names.
                url = view.image_url[len(fetched)] if view.image_url else unquote(urlsplit(link).path)
                name = file_name(url) or f"{len(fetched) + 1}"
                fetched.append((yield from fetch(PictureLink(name, link))))
            if len(fetched) < count:  # only now, since links are good for an hour
                view = yield from self.status(task_id, patience, links=True, first=len(fetched) + 1)
        return fetched

    def _fetch(self, link: PictureLink, task_id: str, patience: Patience, into: Path | None = None) -> Flow[bytes]:
        send = Send(method="GET", url=link.url, authorised=False, task_id=task_id, into=into)
        return (yield from self._exchanges.success(send, patience)).body

    def generate(
        self, request: TaskRequest | JsonObject, patience: Patience, progress: ProgressListener | None
    ) -> Flow[list[Picture]]:
        """Submit, wait, download."""
        accepted = yield from self.submit(request, patience)
        yield from self.wait(accepted.id, patience, progress)
        return (yield from self.download(accepted.id, patience))

    def _task_url(self, task_id: str) -> str:
        if not isinstance(task_id, str) or task_id in ("", ".", ".."):  # which would lead to another path
            raise InvalidRequest([Fault("id", f"{task_id!r} is no task's id")])
        return f"{self._endpoint}/v1alpha2/tasks/{quote(task_id, safe='')}"

    def _decode(self, response: Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = f"{self._endpoint} is no front door of Darkroom; its answer cannot be read: {error}"
            raise ApiFailure(response.status, reason) from None


def _differs(view: TaskView, before: TaskView) -> bool:
    """Whether there is something new to say of a task."""
    return msgspec.structs.replace(view, links=None) != msgspec.structs.replace(before, links=None)


def _id_of(body: JsonObject) -> str | None:
    """The task's id in a request of either version, as far as that can be seen."""
    for path in (("task", "metadata", "id"), ("alwayson_scripts", "id_task")):
        value: object = body
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            return value
    return None
