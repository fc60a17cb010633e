"""A part of a list of tasks, as it is read from where the records are."""

from __future__ import annotations

import msgspec

from darkroom.tasks.record import TaskRecord


class ListedTask(msgspec.Struct, frozen=True):
    """A record, and where it stands in its caller's list: positions grow with time, and no two are the same."""

    position: str
    record: TaskRecord


class ListedTasks(msgspec.Struct, frozen=True):
    """Tasks, newest first; `next` is the position to go on from, None at the list's end."""

    tasks: list[ListedTask]
    next: str | None = None
