"""The client: a thin shell that sends what `darkroom.client.core` asks for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from darkroom.client.address import find_address
from darkroom.client.batches import Outcome, Request, in_threads
from darkroom.client.core import ProgressListener
from darkroom.client.core_in_use import DEFAULT_RETRIES, make_core
from darkroom.client.exchange import Flow, NoResponse, Response, Send
from darkroom.client.jobs import Job
from darkroom.client.pages import Pages
from darkroom.client.pictures import Picture
from darkroom.client.transport import NO_ANSWER, AnswerClock, answer, arguments, no_answer, sink_for
from darkroom.errors import DarkroomError
from darkroom.tasks.replies import RuntimeView, TaskView

T = TypeVar("T")


class Client:
    """A front door's client. Use it in a `with` statement, or call `close` when done.

    `endpoint` is the URL up to and including the stage, as CloudFormation or `darkroom up` prints it; where it or the
    key is not given, it is taken from `DARKROOM_ENDPOINT` and `DARKROOM_API_KEY`. A request that was throttled (429) or
    met a passing fault (503, no connection) is sent again, at most `retries` times, with growing pauses, or as long as
    `Retry-After` says. `timeout_seconds` is for a whole call, with its tries and pauses: `WaitTimeout` after it.
    `caller` is for operators: whose tasks are looked at, fetched and cancelled. Methods raise `ApiFailure`,
    `ApiUnreachable`, and what they name; a key that no header can carry is an `InvalidRequest` at once.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        api_key: str | None = None,
        *,
        retries: int = DEFAULT_RETRIES,
        caller: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        endpoint, self._api_key = find_address(endpoint, api_key, os.environ)
        self._core = make_core(endpoint, retries, caller)
        self._sleep = sleep
        self._http = httpx.Client(transport=transport)

    def submit(self, request: Request, *, timeout_seconds: float | None = None) -> Job:
        """Submit a task: a `TaskRequest`, or a body as the guide has it, of v1alpha1 or v1alpha2."""
        return Job(self, self._run(self._core.submit(request, self._core.patience(timeout_seconds))))

    def status(self, task_id: str, *, links: bool = False, timeout_seconds: float | None = None) -> TaskView:
        """Ask where a task stands; with `links`, also for URLs that need no AWS credentials for an hour."""
        return self._run(self._core.status(task_id, self._core.patience(timeout_seconds), links=links))

    def wait(
        self, task_id: str, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> TaskView:
        """Wait until a task has ended, however it ended. `progress` is called with each change on the way."""
        return self._run(self._core.wait(task_id, self._core.patience(timeout_seconds), progress))

    def events(self, task_id: str, *, timeout_seconds: float | None = None) -> Iterator[TaskView]:
        """How a task stands, again whenever that has changed; the last one is its end."""
        patience = self._core.patience(timeout_seconds)
        view: TaskView | None = None
        while view is None or not view.status.is_terminal:
            view = self._run(self._core.change(task_id, view, patience))
            yield view

    def tasks(
        self,
        *,
        status: Iterable[str] = (),
        runtime: str | None = None,
        since: datetime | None = None,
        most: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[TaskView]:
        """The tasks of this key, newest first: of these statuses, runtime, and time, up to `most` of them."""
        patience = self._core.patience(timeout_seconds)
        pages = Pages(status=status, runtime=runtime, since=since, most=most)
        while pages.query is not None:
            yield from pages.take(self._run(self._core.tasks(pages.query, patience)))

    def runtimes(self, *, timeout_seconds: float | None = None) -> list[RuntimeView]:
        """What the runtimes can do, how many tasks wait for each, and how long a new one would."""
        return self._run(self._core.runtimes(self._core.patience(timeout_seconds)))

    def download(self, task_id: str, *, timeout_seconds: float | None = None) -> list[Picture]:
        """Fetch the pictures of a completed task. Raises `TaskFailed` for any other."""
        return self._run(self._core.download(task_id, self._core.patience(timeout_seconds)))

    def save(self, task_id: str, folder: str | Path, *, timeout_seconds: float | None = None) -> list[Path]:
        """Fetch the pictures of a completed task into files in `folder`, which is made where it is missing.

        No picture is held in memory, and no file is there before it is whole. Raises `TaskFailed` for any other task.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return self._run(self._core.save(task_id, folder, self._core.patience(timeout_seconds)))

    def upload(self, data: bytes, *, timeout_seconds: float | None = None) -> str:
        """Send a picture to the bucket, and return the link that stands for it in requests, for 15 days.

        `submit` does so itself where a request is too large for the front door.
        """
        return self._run(self._core.upload(data, self._core.patience(timeout_seconds)))

    def cancel(self, task_id: str, *, timeout_seconds: float | None = None) -> TaskView:
        """Ask for a task to be stopped. Wait for it to learn whether it was."""
        return self._run(self._core.cancel(task_id, self._core.patience(timeout_seconds)))

    def ask(
        self,
        path: str,
        kind: type[T],
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> T:
        """Ask for what has no method here, at `path` of the front door, and return the answer as a `kind`.

        `kind` is what msgspec can decode; `query` what stands behind the path. Only a GET is sent again where it may
        have arrived.
        """
        return self._run(self._core.ask(method, path, kind, query or {}, self._core.patience(timeout_seconds)))

    def generate(
        self, request: Request, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> list[Picture]:
        """Submit a task, wait for it, and fetch its pictures. Raises `TaskFailed` and `WaitTimeout`."""
        return self._run(self._core.generate(request, self._core.patience(timeout_seconds), progress))

    def map(
        self, requests: Iterable[Request], *, concurrency: int = 8, timeout_seconds: float | None = None
    ) -> Iterator[Outcome]:
        """Generate the pictures of many requests, so many at a time, and yield what became of each as it ends.

        What fails is an `Outcome` with its error. `timeout_seconds` is for each. A request is taken from `requests`
        when there is room for it.
        """

        def work(request: Request) -> Outcome:
            patience, task_id = self._core.patience(timeout_seconds), None
            try:
                task_id = self._run(self._core.submit(request, patience)).id
                self._run(self._core.wait(task_id, patience, None))
                pictures = self._run(self._core.download(task_id, patience))
            except DarkroomError as error:
                return Outcome(request, task_id, error=error)
            return Outcome(request, task_id, tuple(pictures))

        return in_threads(requests, work, concurrency)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        try:
            send = next(flow)
            while True:
                send = flow.send(self._exchange(send))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _exchange(self, send: Send) -> Response | NoResponse:
        if send.delay_seconds:
            self._sleep(send.delay_seconds)
        clock = AnswerClock(send, time.monotonic)
        try:
            with self._http.stream(**arguments(send, self._api_key)) as response, sink_for(send, response) as sink:
                for chunk in response.iter_bytes():
                    sink.write(chunk)
                    clock.check()
        except NO_ANSWER as error:
            return no_answer(error)
        return answer(response, sink)
