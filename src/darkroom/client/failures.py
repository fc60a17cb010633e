"""What a client says of a task that ended without pictures."""

from __future__ import annotations

from darkroom.errors import TaskFailed
from darkroom.tasks.replies import TaskView


def why_it_failed(view: TaskView) -> str:
    """Why a task has no pictures, for a person to read."""
    return view.error.message if view.error is not None else "there is no reason on record"


def failed(view: TaskView) -> TaskFailed:
    """The error for a task that has no pictures."""
    retryable = view.error is not None and view.error.retryable
    return TaskFailed(view.id, view.status, why_it_failed(view), view=view, retryable=retryable)
