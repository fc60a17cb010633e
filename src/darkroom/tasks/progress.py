"""How far a task is that runs: what a runtime says of it, and what whoever asks after the task is told."""

from __future__ import annotations

import msgspec

# So often at most an agent writes down how far a task is: each time costs a write to the table.
SECONDS_BETWEEN_REPORTS = 2.0


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of a task is done: `value` from 0 to 1, and the `step` of so many `steps` where the runtime has such."""

    value: float
    step: int | None = None
    steps: int | None = None


class ProgressReport(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a submission at a time, in seconds since 1970 (UTC); `task_id` is its id with its caller."""

    submission_id: str
    task_id: str
    caller: str
    progress: Progress
    updated_at: float
