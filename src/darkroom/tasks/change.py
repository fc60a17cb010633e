"""That something about a submission has changed: what is read from where changes are kept in the order of time."""

from __future__ import annotations

import msgspec


class Change(msgspec.Struct, frozen=True):
    """A change of a submission's record, or of its progress. Positions grow with time."""

    position: str
    submission_id: str
    is_progress: bool = False
