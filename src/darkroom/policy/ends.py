"""Whose an `.out` object is: the pure part of finding and writing down how a submission ended.

A submission's end lies under the first of its names (`darkroom.policy.object_keys`) where there is not another's. That
this is one place, and the same for everybody, follows from two facts: an `.out` object is only written where there is
none, and none is taken away. So a name that was found to be another's is so for ever, and all who look for the end, or
write it, walk past the same names and stop at the same one.
"""

from __future__ import annotations

import msgspec

from darkroom.policy.object_keys import TaskObjects
from darkroom.tasks.notification import Notification, decode_end


class NotEnded(msgspec.Struct, frozen=True):
    """Nothing lies here: the submission has not ended."""


class Ended(msgspec.Struct, frozen=True):
    """The submission has ended, and this is what was notified, or should have been."""

    notification: Notification


class Anothers(msgspec.Struct, frozen=True):
    """What lies here is not this submission's: look under the names that follow."""

    names: TaskObjects


def judge_end(document: bytes | None, names: TaskObjects) -> NotEnded | Ended | Anothers:
    """What `document`, found where `names` have the `.out` object (None: there is nothing), says of the submission.

    An end that does not say whose it is was written by an agent that did not know of this rule; it counts as ours under
    our first name, the only one that such an agent writes. Whatever is no end at all is somebody else's.
    """
    if document is None:
        return NotEnded()
    end = decode_end(document)
    if end is None or end.notification.id != names.task_id:
        return Anothers(names.next())
    if end.submission_id == names.submission_id or (end.submission_id is None and names.turn == 0):
        return Ended(end.notification)
    return Anothers(names.next())
