"""Pictures on their way to an assistant, and from one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp.server.mcpserver import Image
from mcp_types import ContentBlock, ResourceLink

from darkroom.client import AsyncClient, Picture, Status, TaskView
from darkroom.errors import Fault, InvalidRequest
from darkroom.policy.media_types import HEAD_BYTES, recognise

# What an assistant is shown goes into its context, so large pictures are only pointed to.
MOST_SHOWN_BYTES = 4 * 1024 * 1024
_OF_A_TASK = "task:"


class PictureSources:
    """Where an assistant's pictures may come from: links, tasks, and files below `folder` (None: no files).

    An assistant may be told by anybody what to read, so nothing outside the folder is, and nothing that is no picture.
    """

    def __init__(self, client: AsyncClient, folder: Path | None) -> None:
        self._client = client
        self._folder = None if folder is None else folder.resolve()

    async def find(self, picture: str) -> str | bytes:
        """What stands for `picture` in a request. Raises `InvalidRequest` and what the client raises."""
        if picture.startswith(_OF_A_TASK):
            return await self._of_task(picture.removeprefix(_OF_A_TASK))
        if "://" in picture:
            return picture
        return self._file(picture)

    async def _of_task(self, task_id: str) -> str:
        """The first picture of a task, where the agent finds it."""
        view = await self._client.status(task_id)
        if view.status is not Status.COMPLETED or not view.image_url:
            raise InvalidRequest([Fault("picture", f"the task {task_id} has no picture: it is {view.status.value}")])
        return view.image_url[0]

    def _file(self, name: str) -> bytes:
        if self._folder is None:
            reason = "must be a link, or task: and the id of a task; files are read where `darkroom mcp` has --files"
            raise InvalidRequest([Fault("picture", reason)])
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise InvalidRequest([Fault("picture", f"must lie in {self._folder}")])
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InvalidRequest([Fault("picture", f"{name} cannot be read: {error.strerror}")]) from None
        if not _content_type(data).startswith("image/"):
            raise InvalidRequest([Fault("picture", f"{name} is no picture")])
        return data


def shown(pictures: Sequence[Picture]) -> list[Image]:
    """The pictures, as an assistant sees them."""
    return [Image(data=picture.data, format=_content_type(picture.data).removeprefix("image/")) for picture in pictures]


def pointed_to(view: TaskView) -> list[ContentBlock]:
    """Links to the pictures of a task, good for an hour."""
    links = view.links.image_url if view.links is not None else []
    names = [url.rsplit("/", 1)[-1] for url in view.image_url] or [f"{view.id}-{n + 1}" for n in range(len(links))]
    return [ResourceLink(name=name, uri=link) for name, link in zip(names, links, strict=False)]


def _content_type(data: bytes) -> str:
    found = recognise(data[:HEAD_BYTES])
    return "" if found is None else found.content_type
