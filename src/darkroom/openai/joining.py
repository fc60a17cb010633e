"""Whether a request begins a task or joins one that the same request began before.

OpenAI's clients send a request again by themselves, when a connection was cut or a door's patience ended, without any
key by which one could tell: they only count. Two tasks of one request would be two pictures, and two bills. So the
task's id is the request's digest, and what stands under it says what there is to join. Somebody who asks for the same
twice on purpose, and wants two pictures, has a count of 0 each time.
"""

from __future__ import annotations

import hashlib

import msgspec

from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

# A client with its usual two retries and its usual patience of ten minutes has given up after half an hour.
JOIN_SECONDS = 1800.0
# By when a first try arrives that a slow way has brought behind its own retry.
_OVERTAKEN_SECONDS = 60.0
_BEGUN_BY_RETRY = "again-"


class Join(msgspec.Struct, frozen=True):
    """Wait for this one, or tell its end."""

    record: TaskRecord


class Begin(msgspec.Struct, frozen=True):
    """Begin a task. Under `submission_id`, where it is set: whoever else decides the same gives the same id.

    Submissions of one id are one, however often they are published.
    """

    submission_id: str | None = None


def join_or_begin(
    task_id: str, caller: str, latest: TaskRecord | None, *, retries: int, now: float, patience_seconds: float
) -> Join | Begin:
    """Decide about a request that was sent `retries` times before, where `latest` stands under its task's id.

    `patience_seconds` is how long a door waits for a task. `now` is in seconds since 1970.
    """
    if latest is None:
        return Begin() if retries == 0 else Begin(_again(caller, task_id, ""))
    age = now - latest.created_at
    if retries == 0:
        # Who began it has been sent away with "not yet", or was overtaken by its own retry.
        overtaken = latest.submission_id.startswith(_BEGUN_BY_RETRY) and age < _OVERTAKEN_SECONDS
        is_free = age > patience_seconds or overtaken
        return Join(latest) if is_free and not latest.status.is_terminal else Begin()
    if not latest.status.is_terminal or (age < JOIN_SECONDS and not _may_be_tried_again(latest)):
        return Join(latest)
    return Begin(_again(caller, task_id, latest.submission_id))


def _may_be_tried_again(record: TaskRecord) -> bool:
    return record.status is Status.FAILED and record.error is not None and record.error.retryable


def _again(caller: str, task_id: str, before: str) -> str:
    return _BEGUN_BY_RETRY + hashlib.sha256(f"{caller}/{task_id}/{before}".encode()).hexdigest()[:32]
