"""The two clients: thin shells that send what `darkroom.client.core` asks for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from darkroom.client.api_key import checked_api_key
from darkroom.client.core import Accepted, Core, Flow, NoResponse, Picture, ProgressListener, Response, Send
from darkroom.client.requests import TaskRequest
from darkroom.tasks.replies import TaskView
from darkroom.tasks.task import JsonObject

T = TypeVar("T")

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
_DEFAULT_RETRIES = 6
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class Client:
    """A front door's client. Use it in a `with` statement, or call `close` when done.

    `endpoint` is the URL up to and including the stage, as CloudFormation or `darkroom up` prints it. A request that
    was throttled (429) or met a passing fault (503, no connection) is sent again, at most `retries` times, with growing
    pauses, or as long as `Retry-After` says. Methods raise `ApiFailure`, `ApiUnreachable`, and what they name; a key
    that no header can carry is an `InvalidRequest` at once.
    """

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        *,
        retries: int = _DEFAULT_RETRIES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._core = Core(endpoint, retries=retries, clock=time.monotonic, random=random.random)
        self._api_key = checked_api_key(api_key)
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, timeout=_TIMEOUT)

    def submit(self, request: TaskRequest | JsonObject) -> Accepted:
        """Submit a task: a `TaskRequest`, or a body as the guide has it, of v1alpha1 or v1alpha2."""
        return self._run(self._core.submit(request))

    def status(self, task_id: str, *, links: bool = False) -> TaskView:
        """Ask where a task stands; with `links`, also for URLs that need no AWS credentials for an hour."""
        return self._run(self._core.status(task_id, links=links))

    def wait(
        self, task_id: str, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> TaskView:
        """Wait until a task has ended, however it ended. `progress` is called with each status on the way.

        Raises `WaitTimeout` after `timeout_seconds`.
        """
        return self._run(self._core.wait(task_id, timeout_seconds=timeout_seconds, progress=progress))

    def download(self, task_id: str) -> list[Picture]:
        """Fetch the pictures of a completed task. Raises `TaskFailed` for any other."""
        return self._run(self._core.download(task_id))

    def cancel(self, task_id: str) -> TaskView:
        """Ask for a task to be stopped. Wait for it to learn whether it was."""
        return self._run(self._core.cancel(task_id))

    def generate(
        self,
        request: TaskRequest | JsonObject,
        *,
        timeout_seconds: float | None = None,
        progress: ProgressListener | None = None,
    ) -> list[Picture]:
        """Submit a task, wait for it, and fetch its pictures. Raises `TaskFailed` and `WaitTimeout`."""
        return self._run(self._core.generate(request, timeout_seconds=timeout_seconds, progress=progress))

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
        try:
            return _response(self._http.request(**_arguments(send, self._api_key)))
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return _no_response(error)


class AsyncClient:
    """The same as `Client`, with coroutines. Use it in an `async with` statement, or await `close` when done."""

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        *,
        retries: int = _DEFAULT_RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._core = Core(endpoint, retries=retries, clock=time.monotonic, random=random.random)
        self._api_key = checked_api_key(api_key)
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, timeout=_TIMEOUT)

    async def submit(self, request: TaskRequest | JsonObject) -> Accepted:
        """See `Client.submit`."""
        return await self._run(self._core.submit(request))

    async def status(self, task_id: str, *, links: bool = False) -> TaskView:
        """See `Client.status`."""
        return await self._run(self._core.status(task_id, links=links))

    async def wait(
        self, task_id: str, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None
    ) -> TaskView:
        """See `Client.wait`."""
        return await self._run(self._core.wait(task_id, timeout_seconds=timeout_seconds, progress=progress))

    async def download(self, task_id: str) -> list[Picture]:
        """See `Client.download`."""
        return await self._run(self._core.download(task_id))

    async def cancel(self, task_id: str) -> TaskView:
        """See `Client.cancel`."""
        return await self._run(self._core.cancel(task_id))

    async def generate(
        self,
        request: TaskRequest | JsonObject,
        *,
        timeout_seconds: float | None = None,
        progress: ProgressListener | None = None,
    ) -> list[Picture]:
        """See `Client.generate`."""
        return await self._run(self._core.generate(request, timeout_seconds=timeout_seconds, progress=progress))

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
            return _response(await self._http.request(**_arguments(send, self._api_key)))
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return _no_response(error)


def _arguments(send: Send, api_key: str) -> dict[str, Any]:
    headers = {"x-api-key": api_key} if send.authorised else {}
    if send.body is not None:
        headers["content-type"] = "application/json"
    # An empty `params` would strip the query from a presigned URL.
    params = dict(send.query) or None
    return {"method": send.method, "url": send.url, "headers": headers, "params": params, "content": send.body}


def _response(response: httpx.Response) -> Response:
    return Response(status=response.status_code, body=response.content, retry_after=response.headers.get("retry-after"))


def _no_response(error: Exception) -> NoResponse:
    return NoResponse(reason=str(error) or type(error).__name__, sent=not isinstance(error, _NOT_SENT))
