"""What is known of a task, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.markup import escape

from darkroom.cli.output import age, duration
from darkroom.client import TaskView

_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "expired": "yellow", "running": "cyan"}


def coloured(view: TaskView) -> str:
    """A task's status in its colour."""
    colour = _COLOURS.get(view.status.value)
    text = "stopping" if view.cancel_requested and not view.status.is_terminal else view.status.value
    return f"[{colour}]{text}[/]" if colour else text


def facts(view: TaskView) -> Iterator[tuple[str, str]]:
    """All of it: the facts' names, and what is to be said of them."""
    yield "task", escape(view.id)
    yield "status", coloured(view)
    yield "runtime", escape(view.runtime)
    if view.tasktype is not None:
        yield "type", view.tasktype.value
    yield "accepted", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC ({age(view.created_at)} ago)"
    if view.started_at is not None:
        yield "began", f"{view.started_at:%H:%M:%S} UTC, after {_between(view.created_at, view.started_at)}"
    if view.ended_at is not None:
        yield "ended", f"{view.ended_at:%H:%M:%S} UTC, after {_between(view.created_at, view.ended_at)}"
    if view.device_seconds:
        yield "on the device", f"{view.device_seconds:.1f} s"
    if view.attempts > 1:
        yield "attempts", str(view.attempts)
    if view.model:
        yield "model", escape(view.model)
    yield from _while_it_goes_on(view)
    if view.error is not None:
        again = " (trying again may help)" if view.error.retryable else ""
        yield "error", escape(f"{view.error.type}: {view.error.message}{again}")
    for warning in view.warnings:
        yield "warning", escape(warning)
    for url in view.image_url:
        yield "picture", escape(url)
    if view.image_url_omitted:
        yield "pictures", f"{view.image_url_omitted} at {escape(view.output_location)}"


def _while_it_goes_on(view: TaskView) -> Iterator[tuple[str, str]]:
    if view.status.is_terminal:
        return
    if view.position is not None:
        yield "in the queue", "next" if view.position == 0 else f"about {view.position} before it"
    if view.estimated_start is not None:
        yield "begins", f"about {view.estimated_start:%H:%M:%S} UTC"
    if view.waits_because:
        yield "waits", escape(view.waits_because)
    if view.progress is not None:
        yield "progress", f"{view.progress.value:.0%}"


def _between(start: datetime, end: datetime) -> str:
    return duration((end - start).total_seconds())
