"""The tools: make, change and enlarge pictures, look after tasks, see the runtimes."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ContentBlock
from pydantic import Field

from darkroom.client import (
    AsyncClient,
    DarkroomError,
    RequestWarning,
    Status,
    TaskKind,
    TaskRequest,
    TaskView,
    WaitTimeout,
    image_to_image,
    text_to_image,
    upscale,
)
from darkroom.mcp.pictures import MOST_SHOWN_BYTES, PictureSources, pointed_to, shown

_INSTRUCTIONS = """\
Darkroom makes pictures with Stable Diffusion. A task may wait in a queue: where a tool answers that it is not done yet,
call get_task with its id a little later. list_runtimes says who can do what, and how long it would take.
"""
Content = list[Image | ContentBlock | str]
Prompt = Annotated[str, Field(min_length=1, description="What the picture shows.")]
Runtime = Annotated[str, Field(description="A name from list_runtimes; empty: the first that can do it.")]
Negative = Annotated[str, Field(description="What should not be in the picture.")]
Side = Annotated[int, Field(ge=64, le=4096, description="In pixels.")]
Steps = Annotated[int, Field(ge=1, le=150, description="More are slower, and up to a point better.")]
Seed = Annotated[int, Field(ge=-1, description="The same seed and prompt make the same picture; -1 is any.")]
Count = Annotated[int, Field(ge=1, le=8, description="How many pictures.")]
Source = Annotated[
    str,
    Field(description="A link (http, https, s3), or task: and a task's id, or a file where these are allowed."),
]
Wait = Annotated[
    float, Field(ge=0, le=600, description="How many seconds to wait for the pictures before answering without them.")
]
AsLinks = Annotated[bool, Field(description="Answer with links to the pictures instead of showing them.")]


def create_server(open_client: Callable[[], AsyncClient], files: Path | None = None) -> MCPServer:
    """Make the server. `open_client` opens a front door's client; `files` is a folder from which pictures may come."""
    tools = _Tools(open_client(), files)

    @asynccontextmanager
    async def lifespan(_server: MCPServer) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await tools.close()

    server: MCPServer = MCPServer(
        "darkroom", title="Darkroom", instructions=_INSTRUCTIONS, lifespan=lifespan, log_level="WARNING"
    )
    for tool in (
        tools.generate_image,
        tools.edit_image,
        tools.upscale_image,
        tools.get_task,
        tools.cancel_task,
        tools.list_runtimes,
    ):
        server.add_tool(tool, structured_output=False)
    return server


class _Tools:
    def __init__(self, client: AsyncClient, files: Path | None) -> None:
        self._client = client
        self._sources = PictureSources(self._client, files)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def generate_image(
        self,
        context: Context[Any],
        prompt: Prompt,
        runtime: Runtime = "",
        negative_prompt: Negative = "",
        width: Side = 512,
        height: Side = 512,
        steps: Steps = 20,
        seed: Seed = -1,
        count: Count = 1,
        wait_seconds: Wait = 120,
        as_links: AsLinks = False,
    ) -> Content:
        """Make pictures from a prompt."""
        with _told():
            name = await self._runtime(runtime, TaskKind.TEXT_TO_IMAGE)
            request = text_to_image(
                prompt,
                runtime=name,
                negative_prompt=negative_prompt,
                width=width,
                height=height,
                steps=steps,
                seed=seed,
                count=count,
            )
            return await self._do(context, request, wait_seconds, as_links)

    async def edit_image(
        self,
        context: Context[Any],
        picture: Source,
        prompt: Prompt,
        strength: Annotated[float, Field(ge=0, le=1, description="How far the result may go from the picture.")] = 0.75,
        runtime: Runtime = "",
        negative_prompt: Negative = "",
        width: Side = 512,
        height: Side = 512,
        steps: Steps = 20,
        seed: Seed = -1,
        count: Count = 1,
        wait_seconds: Wait = 120,
        as_links: AsLinks = False,
    ) -> Content:
        """Make pictures from a picture and a prompt."""
        with _told():
            source = await self._sources.find(picture)
            name = await self._runtime(runtime, TaskKind.IMAGE_TO_IMAGE)
            request = image_to_image(
                prompt,
                source,
                runtime=name,
                strength=strength,
                negative_prompt=negative_prompt,
                width=width,
                height=height,
                steps=steps,
                seed=seed,
                count=count,
            )
            return await self._do(context, request, wait_seconds, as_links)

    async def upscale_image(
        self,
        context: Context[Any],
        picture: Source,
        factor: Annotated[float, Field(ge=1, le=8, description="How many times as wide and as high.")] = 2,
        upscaler: Annotated[str, Field(description="One that the runtime has; Lanczos is always there.")] = "Lanczos",
        runtime: Runtime = "",
        wait_seconds: Wait = 120,
        as_links: AsLinks = False,
    ) -> Content:
        """Make a picture larger."""
        with _told():
            source = await self._sources.find(picture)
            name = await self._runtime(runtime, TaskKind.EXTRA_SINGLE_IMAGE)
            request = upscale(source, runtime=name, factor=factor, upscaler=upscaler)
            return await self._do(context, request, wait_seconds, as_links)

    async def get_task(
        self,
        context: Context[Any],
        task_id: Annotated[str, Field(min_length=1, description="The id that a tool has answered with.")],
        wait_seconds: Wait = 0,
        as_links: AsLinks = False,
    ) -> Content:
        """See where a task stands, and its pictures once they are there."""
        with _told():
            return await self._result(context, task_id, wait_seconds, as_links)

    async def cancel_task(self, task_id: Annotated[str, Field(min_length=1, description="The id of the task.")]) -> str:
        """Ask for a task to be stopped."""
        with _told():
            view = await self._client.cancel(task_id)
        if view.status.is_terminal:
            return f"The task {task_id} had already ended: {view.status.value}."
        return f"The task {task_id} is being stopped."

    async def list_runtimes(self) -> str:
        """List the runtimes: what they can do, their models, how many tasks wait, and how long a new one would."""
        with _told():
            return msgspec.json.encode(await self._client.runtimes()).decode()

    async def _runtime(self, named: str, kind: TaskKind) -> str:
        if named:
            return named
        runtimes = await self._client.runtimes()
        for runtime in runtimes:
            if kind in runtime.tasktypes:
                return runtime.name
        there = ", ".join(runtime.name for runtime in runtimes)
        raise ToolError(f"No runtime does {kind.value}; there are: {there or 'none'}.")

    async def _do(self, context: Context[Any], request: TaskRequest, wait_seconds: float, as_links: bool) -> Content:
        job = await self._client.submit(request)
        content = await self._result(context, job.id, wait_seconds, as_links)
        return [*content, *(f"Warning: {fault.path} {fault.reason}" for fault in job.warnings)]

    async def _result(self, context: Context[Any], task_id: str, wait_seconds: float, as_links: bool) -> Content:
        view = await self._followed(context, task_id, wait_seconds)
        if view.status is Status.COMPLETED:
            return [*await self._pictures(task_id, as_links), f"The task {task_id} has completed.", *view.warnings]
        if view.status.is_terminal:
            reason = view.error.message if view.error is not None else "there is no reason on record"
            raise ToolError(f"The task {task_id} ended as {view.status.value}: {reason}")
        why = f" It waits: {view.waits_because}." if view.waits_because else ""
        place = f" About number {view.position} in the queue." if view.position is not None else ""
        return [f"The task {task_id} is {view.status.value}.{place}{why} Call get_task with its id a little later."]

    async def _followed(self, context: Context[Any], task_id: str, wait_seconds: float) -> TaskView:
        """Where a task stands when it has ended, or after so long; meanwhile its progress is told."""
        if wait_seconds <= 0:
            return await self._client.status(task_id)
        last: TaskView | None = None
        try:
            async for view in self._client.events(task_id, timeout_seconds=wait_seconds):
                last = view
                value = 1.0 if view.status.is_terminal else 0.0 if view.progress is None else view.progress.value
                await context.report_progress(value, 1.0, view.status.value)
        except WaitTimeout as timeout:
            last = timeout.view or last
        return last if last is not None else await self._client.status(task_id)

    async def _pictures(self, task_id: str, as_links: bool) -> list[Image | ContentBlock]:
        if not as_links:
            pictures = await self._client.download(task_id)
            if sum(len(picture.data) for picture in pictures) <= MOST_SHOWN_BYTES:
                return [*shown(pictures)]
        return [*pointed_to(await self._client.status(task_id, links=True))]


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the client become what the assistant reads; warnings are in the answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestWarning)
        try:
            yield
        except (DarkroomError, OSError) as error:
            raise ToolError(str(error)) from error
