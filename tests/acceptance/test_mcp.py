"""An assistant's own client against a running stack: it lists tools, makes a picture, and makes it larger."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from mcp import Client, StdioServerParameters
from mcp_types import ImageContent, ResourceLink, TextContent
from PIL import Image

from tests.acceptance.conftest import Stack

T = TypeVar("T")


def with_assistant(stack: Stack, work: Callable[[Client], Awaitable[T]], *options: str) -> T:
    async def run() -> T:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "darkroom", "mcp", *options],
            cwd=stack.folder,
            env={**os.environ, "DARKROOM_ENDPOINT": stack.facts.endpoint, "DARKROOM_API_KEY": stack.facts.api_key},
        )
        async with Client(server, read_timeout_seconds=120) as client:
            return await work(client)

    return asyncio.run(run())


def size_of(content: Any) -> tuple[int, int]:
    assert isinstance(content, ImageContent)
    return Image.open(io.BytesIO(base64.b64decode(content.data))).size


def text_of(content: Any) -> str:
    return " ".join(block.text for block in content if isinstance(block, TextContent))


def test_an_assistant_makes_a_picture_and_makes_it_larger(open_stack: Stack) -> None:
    async def work(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {
            "generate_image",
            "edit_image",
            "upscale_image",
            "get_task",
            "cancel_task",
            "list_runtimes",
        }
        assert "sdruntime" in text_of((await client.call_tool("list_runtimes", {})).content)
        told: list[float] = []

        async def progress(value: float, total: float | None, message: str | None) -> None:
            told.append(value)

        made = await client.call_tool(
            "generate_image", {"prompt": "a cat", "width": 128, "height": 64, "steps": 4}, progress_callback=progress
        )
        assert not made.is_error, made
        assert size_of(made.content[0]) == (128, 64)
        assert told[-1] == 1.0
        task_id = text_of(made.content).split()[2]
        larger = await client.call_tool("upscale_image", {"picture": f"task:{task_id}", "factor": 2})
        assert size_of(larger.content[0]) == (256, 128)
        edited = await client.call_tool(
            "edit_image", {"picture": f"task:{task_id}", "prompt": "a dog", "width": 64, "height": 64, "steps": 2}
        )
        assert size_of(edited.content[0]) == (64, 64)
        linked = await client.call_tool("get_task", {"task_id": task_id, "as_links": True})
        assert isinstance(linked.content[0], ResourceLink)
        assert open_stack.http.get(str(linked.content[0].uri)).status_code == 200
        late = await client.call_tool("generate_image", {"prompt": "a cat", "wait_seconds": 0})
        assert "Call get_task" in text_of(late.content)
        stopped = await client.call_tool("cancel_task", {"task_id": text_of(late.content).split()[2]})
        assert "is being stopped" in text_of(stopped.content) or "already ended" in text_of(stopped.content)

    with_assistant(open_stack, work)


REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"picture": "/etc/passwd", "prompt": "x"}, "must lie in"),
    ({"picture": "../key", "prompt": "x"}, "must lie in"),
    ({"picture": "text.png", "prompt": "x"}, "is no picture"),
    ({"picture": "nothing.png", "prompt": "x"}, "cannot be read"),
    ({"picture": "task:nobody", "prompt": "x"}, "no task"),
    ({"picture": "https://example.com/cat.png", "prompt": "x", "runtime": "nobody"}, "no runtime"),
]


def test_what_an_assistant_must_not_or_cannot_read_is_refused(open_stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "text.png").write_text("no picture at all")
    (tmp_path / "key").write_text("secret")

    async def work(client: Client) -> None:
        for arguments, reason in REFUSALS:
            refused = await client.call_tool("edit_image", arguments)
            assert refused.is_error, arguments
            assert reason in text_of(refused.content), arguments

    with_assistant(open_stack, work, "--files", str(folder))


def test_without_a_folder_no_file_is_read(open_stack: Stack) -> None:
    async def work(client: Client) -> None:
        refused = await client.call_tool("edit_image", {"picture": "cat.png", "prompt": "x"})
        assert refused.is_error
        assert "--files" in text_of(refused.content)

    with_assistant(open_stack, work)
