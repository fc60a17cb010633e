"""What the front door tells operators of dead letters."""

from __future__ import annotations

from datetime import datetime

import msgspec


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that failed on every try, or a message that is none: why it is here, and not what it asked for.

    `id` is the letter's own; `tries` is left out where nobody has counted, `task_id` where none can be read. `caller`
    is whose it is ("": nobody's). `unreadable` says why no agent can do it; it is left out for one that is a task.
    """

    id: str
    runtime: str
    type: str
    reason: str
    sent_at: datetime
    caller: str
    task_id: str | None = None
    tries: int | None = None
    unreadable: str | None = None


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """Some dead letters of a runtime, the oldest first, and about how many there are."""

    dead_letters: list[DeadLetterView]
    total: int


class LetterLeft(msgspec.Struct, frozen=True):
    """A letter that was to be redriven and was not, and why."""

    id: str
    reason: str


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """The letters that are tasks again, by their ids, and those that are not; whether there may be more of them."""

    redriven: list[str]
    left: list[LetterLeft]
    more: bool
