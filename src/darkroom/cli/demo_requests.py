"""The requests of `darkroom demo`, and what becomes of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from darkroom.aws.bucket import Bucket
from darkroom.cli.tables import Table, new_table, numbers, print_table
from darkroom.cli.verification import WEIGHTLESS_UPSCALER, Case, cases_for, follow_ups
from darkroom.client import AsyncClient
from darkroom.errors import StackFailure
from darkroom.local.listener import Listener, listening
from darkroom.local.stack import RunningStack
from darkroom.samples import read_picture
from darkroom.tasks.notification import Notification
from darkroom.tasks.task import Status, TaskKind

_DEADLINE_SECONDS = 120.0


@dataclass
class Row:
    """One request and what was heard of it; `title` says what it is."""

    title: str
    case: Case
    sent_at: float
    status: Status | None = None
    seconds: float = 0.0
    urls: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    problem: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it has ended with a picture."""
        return self.status is Status.COMPLETED and bool(self.paths)

    def facts(self) -> dict[str, Any]:
        """What became of it, for scripts."""
        return {
            "request": self.title,
            "id": self.case.id,
            "status": None if self.status is None else self.status.value,
            "seconds": round(self.seconds, 3),
            "files": [str(path) for path in self.paths],
            **({"error": self.problem} if self.problem else {}),
        }


async def develop(stack: RunningStack, folder: Path, console: Console) -> list[Row]:
    """Send the requests, and save what comes of them. Raises `StackFailure` if too little does."""
    console.print(f"Darkroom runs at {stack.facts.endpoint}", highlight=False)
    rows: dict[str, Row] = {}
    async with (
        listening(stack.aws, stack.facts.output_topic_arn) as listener,
        AsyncClient(stack.facts.endpoint, stack.facts.api_key) as client,
    ):
        for runtime in stack.facts.runtimes:
            for case in cases_for(runtime.name, runtime.type, read_picture(), WEIGHTLESS_UPSCALER):
                await _send(case, f"the guide's {case.kind}", client, rows)
        bucket = stack.aws.bucket(stack.facts.output_bucket)
        with Live(_table(rows), console=console, auto_refresh=False, transient=True) as live:
            await _listen(rows, listener, bucket, folder, live)
            for first in list(rows.values()):
                if first.case.kind is TaskKind.TEXT_TO_IMAGE and first.urls:
                    for case, title in follow_ups(first.case, first.urls[0]):
                        await _send(case, title, client, rows)
            await _listen(rows, listener, bucket, folder, live)
    return list(rows.values())


def show(rows: Sequence[Row]) -> None:
    """Print what became of the requests, and where their pictures lie."""
    print_table(_table({row.case.id: row for row in rows}))
    for path in (path for row in rows for path in row.paths):
        sys.stdout.write(f"{path}\n")


async def _send(case: Case, title: str, client: AsyncClient, rows: dict[str, Row]) -> None:
    await client.submit(case.body)
    rows[case.id] = Row(title, case, time.monotonic())


async def _listen(rows: Mapping[str, Row], listener: Listener, bucket: Bucket, folder: Path, live: Live) -> None:
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


async def _note(row: Row, notification: Notification, bucket: Bucket, folder: Path) -> None:
    row.status, row.seconds = notification.status, time.monotonic() - row.sent_at
    if notification.error:
        row.problem = notification.error.message
    for url in notification.image_url or ():
        key = url.removeprefix(f"s3://{bucket.name}/")
        path = folder / key.rpartition("/")[2]
        path.write_bytes(await bucket.get(key))
        row.paths.append(path)
        row.urls.append(url)


def _table(rows: Mapping[str, Row]) -> Table:
    # Their paths follow, each on a line of its own, where they can be copied.
    table = new_table("Request", "Status", *numbers("Seconds", "Pictures"), title="Requests and their pictures")
    for row in rows.values():
        ended_badly = row.status is not None and row.status.is_terminal and row.status is not Status.COMPLETED
        colour = "red" if ended_badly else "green" if row.status is Status.COMPLETED else "yellow"
        table.add_row(
            row.title,
            f"[{colour}]{row.status or 'sent'}[/]",
            f"{row.seconds:.1f}",
            str(len(row.paths) or ""),
        )
    return table
