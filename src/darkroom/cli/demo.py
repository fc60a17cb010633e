"""`darkroom demo`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from darkroom.aws.bucket import Bucket
from darkroom.aws.connection import open_aws
from darkroom.cli.verification import WEIGHTLESS_UPSCALER, Case, cases_for, follow_ups
from darkroom.client import AsyncClient
from darkroom.errors import StackFailure
from darkroom.local.listener import Listener, listening
from darkroom.local.stack import RunningStack, StackOptions, running_stack
from darkroom.local.stack_file import STACK_FOLDER
from darkroom.samples import read_picture
from darkroom.tasks.notification import Notification
from darkroom.tasks.task import Status, TaskKind

_DEADLINE_SECONDS = 120.0


@dataclass
class _Row:
    """One request and what was heard of it; `title` says what it is."""

    title: str
    case: Case
    sent_at: float
    status: Status | None = None
    seconds: float = 0.0
    urls: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    problem: str = ""


def demo(
    folder: Annotated[Path, typer.Option(help="Where the pictures are saved.")] = Path("pictures"),
) -> None:
    """Show the whole of Darkroom at work on this machine, and stop it again.

    Starts everything, sends the guide's sample requests through the front door, waits for the notifications on the
    output topic, saves the pictures and shows a table of them. The first picture goes on, by its link in the output
    bucket: it is redrawn, and enlarged.
    """
    console = Console()
    folder.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(_run(folder, console))
    failed = [row for row in rows if row.status != Status.COMPLETED or not row.paths]
    for row in failed:
        console.print(f"[bold red]{row.case.id}[/]: {escape(row.problem or 'no notification came')}", highlight=False)
    raise typer.Exit(1 if failed else 0)


async def _run(folder: Path, console: Console) -> list[_Row]:
    # A folder and ports of its own: it gets in nobody's way, not even of a stack that runs here.
    options = StackOptions(folder=STACK_FOLDER / "demo", gateway_port=0, aws_port=0)
    status = console.status("starting")
    status.start()
    try:
        async with running_stack(options, lambda line: status.update(escape(line))) as stack:
            status.stop()
            return await _develop(stack, folder, console)
    finally:
        status.stop()


async def _develop(stack: RunningStack, folder: Path, console: Console) -> list[_Row]:
    console.print(f"Darkroom runs at {stack.facts.endpoint}", highlight=False)
    rows: dict[str, _Row] = {}
    async with (
        open_aws(stack.aws, "sqs", "sns", "s3") as aws,
        listening(aws, stack.facts.output_topic_arn) as listener,
        AsyncClient(stack.facts.endpoint, stack.facts.api_key) as client,
    ):
        for runtime in stack.facts.runtimes:
            for case in cases_for(runtime.name, runtime.type, read_picture(), WEIGHTLESS_UPSCALER):
                await _send(case, f"the guide's {case.kind}", client, rows)
        bucket = aws.bucket(stack.facts.output_bucket)
        with Live(_table(rows), console=console, auto_refresh=False) as live:
            await _listen(rows, listener, bucket, folder, live)
            for first in list(rows.values()):
                if first.case.kind is TaskKind.TEXT_TO_IMAGE and first.urls:
                    for case, title in follow_ups(first.case, first.urls[0]):
                        await _send(case, title, client, rows)
            await _listen(rows, listener, bucket, folder, live)
    return list(rows.values())


async def _send(case: Case, title: str, client: AsyncClient, rows: dict[str, _Row]) -> None:
    await client.submit(case.body)
    rows[case.id] = _Row(title, case, time.monotonic())


async def _listen(rows: Mapping[str, _Row], listener: Listener, bucket: Bucket, folder: Path, live: Live) -> None:
    """Hear until every task has ended, and save what there is."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    live.update(_table(rows), refresh=True)
    while any(row.status is None or not row.status.is_terminal for row in rows.values()):
        if time.monotonic() > deadline:
            raise StackFailure(f"not every notification came within {_DEADLINE_SECONDS:g} s; see .darkroom/demo/logs")
        for notification in await listener.hear():
            row = rows.get(notification.id)
            if row is not None:
                await _note(row, notification, bucket, folder)
                live.update(_table(rows), refresh=True)


async def _note(row: _Row, notification: Notification, bucket: Bucket, folder: Path) -> None:
    row.status, row.seconds = notification.status, time.monotonic() - row.sent_at
    if notification.error:
        row.problem = notification.error.message
    for url in notification.image_url or ():
        key = url.removeprefix(f"s3://{bucket.name}/")
        path = folder / key.rpartition("/")[2]
        path.write_bytes(await bucket.get(key))
        row.paths.append(path)
        row.urls.append(url)


def _table(rows: Mapping[str, _Row]) -> Table:
    table = Table(title="Requests and their pictures", title_justify="left")
    for heading in ("Request", "Status"):
        table.add_column(heading)
    table.add_column("Seconds", justify="right")
    table.add_column("Picture", overflow="fold")
    for row in rows.values():
        ended_badly = row.status is not None and row.status.is_terminal and row.status is not Status.COMPLETED
        colour = "red" if ended_badly else "green" if row.status is Status.COMPLETED else "yellow"
        table.add_row(
            row.title,
            f"[{colour}]{row.status or 'sent'}[/]",
            f"{row.seconds:.1f}",
            escape("\n".join(str(path) for path in row.paths)),
        )
    return table
