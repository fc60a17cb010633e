"""`darkroom demo`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.options import FolderOption, JsonLinesOption
from darkroom.cli.output import print_json
from darkroom.local.stack import StackOptions, running_stack
from darkroom.local.stack_file import STACK_FOLDER

if TYPE_CHECKING:
    from darkroom.cli.demo_requests import Row


def demo(
    folder: FolderOption = Path("pictures"),
    as_json: JsonLinesOption = False,
) -> None:
    """Show the whole of Darkroom at work on this machine, and stop it again.

    Starts everything, sends the guide's sample requests through the front door, waits for the notifications on the
    output topic, saves the pictures and shows a table of them. The first picture goes on, by its link in the output
    bucket: it is redrawn, and enlarged.
    """
    console = Console(quiet=as_json)
    folder.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(_run(folder, console))
    from darkroom.cli.demo_requests import show

    if as_json:
        for row in rows:
            print_json(row.facts())
    else:
        show(rows)
    failed = [row for row in rows if not row.is_well]
    for row in failed:
        console.print(f"[bold red]{row.case.id}[/]: {escape(row.problem or 'no notification came')}", highlight=False)
    raise typer.Exit(1 if failed else 0)


async def _run(folder: Path, console: Console) -> list[Row]:
    # A folder and ports of its own: it gets in nobody's way, not even of a stack that runs here.
    options = StackOptions(folder=STACK_FOLDER / "demo", gateway_port=0, aws_port=0, ends_at_once=True)
    status = console.status("starting")
    status.start()
    try:
        async with running_stack(options, lambda line: status.update(escape(line))) as stack:
            from darkroom.cli.demo_requests import develop  # what it needs loads while the stack starts

            status.stop()
            return await develop(stack, folder, console)
    finally:
        status.stop()
