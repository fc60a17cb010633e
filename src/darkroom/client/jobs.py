"""A task that was submitted, as an object: ask after it, wait for it, follow it, fetch its pictures, stop it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.client.core import Accepted, ProgressListener
from darkroom.client.failures import failed
from darkroom.client.pictures import Picture
from darkroom.errors import Fault
from darkroom.tasks.replies import TaskView
from darkroom.tasks.task import Status

if TYPE_CHECKING:
    from darkroom.client.async_client import AsyncClient
    from darkroom.client.client import Client


class _Submitted:
    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted

    @property
    def id(self) -> str:
        """The task's id."""
        return self._accepted.id

    @property
    def output_location(self) -> str:
        """Where its pictures will lie, as an s3:// URL."""
        return self._accepted.output_location

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What of the request is ignored, or taken for something else than was written."""
        return self._accepted.warnings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


class Job(_Submitted):
    """A submitted task. Methods raise what the `Client`'s do, and `WaitTimeout` after `timeout_seconds`."""

    def __init__(self, client: Client, accepted: Accepted) -> None:
        super().__init__(accepted)
        self._client = client

    def status(self, *, links: bool = False) -> TaskView:
        """Ask where the task stands."""
        return self._client.status(self.id, links=links)

    def wait(self, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None) -> TaskView:
        """Wait until the task has ended, however it ended."""
        return self._client.wait(self.id, timeout_seconds=timeout_seconds, progress=progress)

    def events(self, *, timeout_seconds: float | None = None) -> Iterator[TaskView]:
        """How the task stands, again whenever that has changed; the last one is its end."""
        return self._client.events(self.id, timeout_seconds=timeout_seconds)

    def pictures(self, *, timeout_seconds: float | None = None) -> list[Picture]:
        """Wait for the pictures and fetch them. Raises `TaskFailed` where there are none."""
        _check_completed(self.wait(timeout_seconds=timeout_seconds))
        return self._client.download(self.id)

    def save(self, folder: str | Path, *, timeout_seconds: float | None = None) -> list[Path]:
        """Wait for the pictures and fetch them into files in `folder`, which is made where it is missing."""
        _check_completed(self.wait(timeout_seconds=timeout_seconds))
        return self._client.save(self.id, folder)

    def cancel(self) -> TaskView:
        """Ask for the task to be stopped."""
        return self._client.cancel(self.id)


class AsyncJob(_Submitted):
    """The same as `Job`, with coroutines."""

    def __init__(self, client: AsyncClient, accepted: Accepted) -> None:
        super().__init__(accepted)
        self._client = client

    async def status(self, *, links: bool = False) -> TaskView:
        """See `Job.status`."""
        return await self._client.status(self.id, links=links)

    async def wait(self, *, timeout_seconds: float | None = None, progress: ProgressListener | None = None) -> TaskView:
        """See `Job.wait`."""
        return await self._client.wait(self.id, timeout_seconds=timeout_seconds, progress=progress)

    def events(self, *, timeout_seconds: float | None = None) -> AsyncIterator[TaskView]:
        """See `Job.events`."""
        return self._client.events(self.id, timeout_seconds=timeout_seconds)

    async def pictures(self, *, timeout_seconds: float | None = None) -> list[Picture]:
        """See `Job.pictures`."""
        _check_completed(await self.wait(timeout_seconds=timeout_seconds))
        return await self._client.download(self.id)

    async def save(self, folder: str | Path, *, timeout_seconds: float | None = None) -> list[Path]:
        """See `Job.save`."""
        _check_completed(await self.wait(timeout_seconds=timeout_seconds))
        return await self._client.save(self.id, folder)

    async def cancel(self) -> TaskView:
        """See `Job.cancel`."""
        return await self._client.cancel(self.id)


def _check_completed(view: TaskView) -> None:
    if view.status is not Status.COMPLETED:
        raise failed(view)
