"""What a caller has used: tasks by how they ended, pictures, and device time, by runtime and day."""

from __future__ import annotations

import msgspec

from darkroom.tasks.task import Status


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks ended in each way, how many pictures they have, and how long they had the device.

    `device_seconds` are those of the try with which a task ended.
    """

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    pictures: int = 0
    device_seconds: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        ours, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Usage(**{name: ours[name] + theirs[name] for name in ours})

    @property
    def tasks(self) -> int:
        """How many tasks ended."""
        return self.completed + self.failed + self.cancelled + self.expired


class DayUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of a caller ("" is nobody) on one runtime and day (as in 2026-11-25, UTC: when the tasks ended)."""

    caller: str
    runtime: str
    day: str
    usage: Usage


def usage_of(status: Status, *, pictures: int, device_seconds: float) -> Usage:
    """What one task adds that ended with `status`, which is a terminal one."""
    return Usage(**{status.value: 1}, pictures=pictures, device_seconds=device_seconds)
