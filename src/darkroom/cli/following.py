"""A task as it goes its way, on one line of the terminal: its place in the queue, its progress, what it waits for."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from darkroom.client import Client, TaskView


def follow(client: Client, task_id: str, timeout_seconds: float, console: Console) -> TaskView:
    """Wait until a task has ended, and show how it stands meanwhile. Raises `WaitTimeout`."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=console.quiet) as progress:
        row = progress.add_task("queued", total=None)

        def show(view: TaskView) -> None:
            how_far = None if view.progress is None else view.progress.value
            progress.update(row, description=escape(described(view)), total=None if how_far is None else 1.0)
            if how_far is not None:
                progress.update(row, completed=how_far)

        try:
            return client.wait(task_id, timeout_seconds=timeout_seconds, progress=show)
        except KeyboardInterrupt:
            progress.stop()
            console.print(
                f"Not waiting any longer; the task goes on. Look after it: darkroom watch {escape(task_id)}",
                highlight=False,
            )
            raise


def described(view: TaskView) -> str:
    """How a task stands, in a few words."""
    if view.cancel_requested and not view.status.is_terminal:
        return f"{view.status.value}, is being stopped"
    if view.waits_because:
        return f"{view.status.value}: {view.waits_because}"[:60]
    if view.position is not None:
        place = "next" if view.position == 0 else f"about {view.position} before it"
        return f"{view.status.value}, {place} in the queue"
    if view.progress is not None and view.progress.steps:
        return f"{view.status.value}, step {view.progress.step} of {view.progress.steps}"
    return view.status.value
