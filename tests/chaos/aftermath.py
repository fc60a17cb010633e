"""What there is when a chaos run has come to rest: all that its promises are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from darkroom.policy.dead_letters import DeadLetter
from darkroom.tasks.notification import Notification, notification_attributes
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.tasks.usage import Usage


class Heard(msgspec.Struct, frozen=True):
    """One notification, as a subscriber got it at `at` (seconds since 1970), and whose task it says it is of."""

    notification_id: str
    body: str
    at: float = 0.0
    caller: str = ""


class Stored(msgspec.Struct, frozen=True):
    """An object in the bucket: its size in bytes, and when it was written last (seconds since 1970)."""

    size: int
    written_at: float = 0.0


class Pictured(msgspec.Struct, frozen=True):
    """What a picture says: its seed, whether its signature is right, the source types in it, and whose it is."""

    seed: int | None = None
    is_signed: bool = False
    source_types: frozenset[str] = frozenset()
    owner: str = ""


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What there is when everything has come to rest.

    `pictures` are what pictures say of themselves, by key; `begun` says when the last generation with a seed began;
    `records` are those of submissions, by their ids; `used` is each caller's usage; `seen_of_others`, what callers were
    shown that was not their own; `interrupted_by_others`, which generations agents found to be interrupted by somebody.
    `queues` counts messages that are left; `patience_seconds` is how long a task may wait in an agent that has read it.
    """

    heard: Sequence[Heard]
    letters: Sequence[DeadLetter]
    objects: Mapping[str, Stored]
    pictures: Mapping[str, Pictured]
    begun: Mapping[int, float]
    bucket: str
    queues: Mapping[str, int]
    faults_of_darkroom: Sequence[str]
    records: Mapping[str, TaskRecord] = {}
    used: Mapping[str, Usage] = {}
    seen_of_others: Sequence[str] = ()
    interrupted_by_others: Sequence[str] = ()
    patience_seconds: float = 0.0


def terminal_id(submission_id: str) -> str:
    """The id that the terminal notification of a submission has to have."""
    end = Notification(id="", status=Status.COMPLETED, runtime="")
    return notification_attributes(end, submission_id)["notification_id"]
