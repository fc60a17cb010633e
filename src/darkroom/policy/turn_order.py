"""Whose turn on the device is next: tasks for the loaded model go first, and nobody is overtaken without end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MOST_OVERTAKES = 8


class Candidate(msgspec.Struct, frozen=True):
    """A task that waits. `model` is the one that it needs (None: whichever is loaded); `overtaken` how often it was."""

    model: str | None
    overtaken: int


def next_turn(waiting: Sequence[Candidate], loaded_model: str | None, most_overtakes: int = MOST_OVERTAKES) -> int:
    """The index in `waiting` (in order of arrival, not empty) of the task that is next.

    A switch of models is paid once for a run of tasks: as long as somebody needs the loaded model, they go before the
    others, until the first in line was overtaken `most_overtakes` times.
    """
    if waiting[0].overtaken >= most_overtakes or loaded_model is None:
        return 0
    fitting = (index for index, task in enumerate(waiting) if task.model is None or task.model == loaded_model)
    return next(fitting, 0)
