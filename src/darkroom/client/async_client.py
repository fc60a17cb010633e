"""The client with coroutines: another thin shell that sends what `darkroom.client.core` asks for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from darkroom.client.address import find_address
from darkroom.client.batches import Outcome, Request, in_tasks
from darkroom.client.core import ProgressListener
from darkroom.client.core_in_use import DEFAULT_RETRIES, make_core
from darkroom.client.exchange import Flow, NoResponse, Response, Send
from darkroom.client.jobs import AsyncJob
from darkroom.client.pages import Pages
from darkroom.client.pictures import Picture
from darkroom.client.transport import NO_ANSWER, TooLate, answer, arguments, no_answer, sink_for
from darkroom.errors import DarkroomError
from darkroom.tasks.replies import RuntimeView, TaskView

T = TypeVar("T")


class AsyncClient:
    """The same as `Client`, with coroutines. Use it in an `async with` statement, or await `close` when done."""

    def __init__(
        self,
        endpoint: str | None = None,
        api_key: str | None = None,
        *,
        retries: int = DEFAULT_RETRIES,
        caller: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        endpoint, self._api_key = find_address(endpoint, api_key, os.environ)
        self._core = make_core(endpoint, retries, caller)
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport)

    async def submit(self, request: Request, *, timeout_seconds: float | None = None) -> AsyncJob:
        """See `Client.submit`."""
        return AsyncJob(self, await self._run(self._core.submit(request, self._core.patience(timeout_seconds))))

    async def status(self, task_id: str, *, links: bool = False, timeout_seconds: float | None = None) -> TaskView:
        """See `Client.status`."""
        return await self._run(self._core.status(task_id, self._core.patience(timeout_seconds), links=links))

    async def wait(
        self, task_id: str, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> TaskView:
        """See `Client.wait`."""
        return await self._run(self._core.wait(task_id, self._core.patience(timeout_seconds), progress))

    async def events(self, task_id: str, *, timeout_seconds: float | None = None) -> AsyncIterator[TaskView]:
        """See `Client.events`."""
        patience = self._core.patience(timeout_seconds)
        view: TaskView | None = None
        while view is None or not view.status.is_terminal:
            view = await self._run(self._core.change(task_id, view, patience))
            yield view

    async def tasks(
        self,
        *,
        status: Iterable[str] = (),
        runtime: str | None = None,
        since: datetime | None = None,
        most: int | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[TaskView]:
        """See `Client.tasks`."""
        patience = self._core.patience(timeout_seconds)
        pages = Pages(status=status, runtime=runtime, since=since, most=most)
        while pages.query is not None:
            for view in pages.take(await self._run(self._core.tasks(pages.query, patience))):
                yield view

    async def runtimes(self, *, timeout_seconds: float | None = None) -> list[RuntimeView]:
        """See `Client.runtimes`."""
        return await self._run(self._core.runtimes(self._core.patience(timeout_seconds)))

    async def download(self, task_id: str, *, timeout_seconds: float | None = None) -> list[Picture]:
        """See `Client.download`."""
        return await self._run(self._core.download(task_id, self._core.patience(timeout_seconds)))

    async def save(self, task_id: str, folder: str | Path, *, timeout_seconds: float | None = None) -> list[Path]:
        """See `Client.save`."""
        folder = Path(folder)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        return await self._run(self._core.save(task_id, folder, self._core.patience(timeout_seconds)))

    async def upload(self, data: bytes, *, timeout_seconds: float | None = None) -> str:
        """See `Client.upload`."""
        return await self._run(self._core.upload(data, self._core.patience(timeout_seconds)))

    async def cancel(self, task_id: str, *, timeout_seconds: float | None = None) -> TaskView:
        """See `Client.cancel`."""
        return await self._run(self._core.cancel(task_id, self._core.patience(timeout_seconds)))

    async def ask(
        self,
        path: str,
        kind: type[T],
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> T:
        """See `Client.ask`."""
        return await self._run(self._core.ask(method, path, kind, query or {}, self._core.patience(timeout_seconds)))

    async def generate(
        self, request: Request, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> list[Picture]:
        """See `Client.generate`."""
        return await self._run(self._core.generate(request, self._core.patience(timeout_seconds), progress))

    def map(
        self, requests: Iterable[Request], *, concurrency: int = 8, timeout_seconds: float | None = None
    ) -> AsyncIterator[Outcome]:
        """See `Client.map`."""

        async def work(request: Request) -> Outcome:
            patience, task_id = self._core.patience(timeout_seconds), None
            try:
                task_id = (await self._run(self._core.submit(request, patience))).id
                await self._run(self._core.wait(task_id, patience, None))
                pictures = await self._run(self._core.download(task_id, patience))
            except DarkroomError as error:
                return Outcome(request, task_id, error=error)
            return Outcome(request, task_id, tuple(pictures))

        return in_tasks(requests, work, concurrency)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        try:
            send = next(flow)
            while True:
                send = flow.send(await self._exchange(send))
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _exchange(self, send: Send) -> Response | NoResponse:
        if send.delay_seconds:
            await self._sleep(send.delay_seconds)
        try:
            async with asyncio.timeout(send.timeout_seconds):
                return await self._answer(send)
        except TimeoutError:
            return no_answer(TooLate("the answer did not end in time"))
        except NO_ANSWER as error:
            return no_answer(error)

    async def _answer(self, send: Send) -> Response:
        async with self._http.stream(**arguments(send, self._api_key)) as response:
            with sink_for(send, response) as sink:
                async for chunk in response.aiter_bytes():
                    sink.write(chunk)
            return answer(response, sink)
