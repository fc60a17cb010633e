"""What a dead letter is, what may be shown of it, and what is sent when it is redriven: pure decisions.

The agent that gives a task up has told its end: the task's `.out` object and its notification are final. So a redriven
letter is a new submission, with an id of its own, and gets new objects and a notification with a new id. That id is
derived from the letter, so a redrive that was broken off after sending and is done again makes no third submission.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from darkroom.errors import DarkroomError, Fault, InvalidRequest, UnreadableMessage
from darkroom.tasks.message import (
    COPY_ATTRIBUTE,
    FIRST_SENT_ATTRIBUTE,
    PREFIX_ATTRIBUTE,
    PRIORITY_ATTRIBUTE,
    SUBMISSION_ATTRIBUTE,
    copied_attributes,
    decode_message,
    fits_a_queue,
    open_envelope,
    submission_id_of,
    unwrap,
)
from darkroom.tasks.message import TASK_ATTRIBUTE as MESSAGE_TASK_ATTRIBUTE
from darkroom.tasks.task import Priority

# What the agent writes on a message that it moves to the dead letters.
TYPE_ATTRIBUTE = "dead_letter_type"
REASON_ATTRIBUTE = "dead_letter_reason"
TRIES_ATTRIBUTE = "dead_letter_received"
TASK_ATTRIBUTE = "dead_letter_task_id"
_OWN_PREFIX = "dead_letter_"
_OF_THE_OLD_SUBMISSION = (FIRST_SENT_ATTRIBUTE, COPY_ATTRIBUTE)

MOVED_BY_SQS = "MovedBySqs"
_MOVED_REASON = "SQS moved it after its last receive; no agent has told of its end yet"
_SHORTEST_PREFIX = 4
_LONGEST_REASON = 1024
_LONGEST_ID = 256
_LONGEST_COUNT = 9  # in digits


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter, read.

    `id` is SQS's for the letter; `text` is the message without SNS's envelope, and `attributes` are those that it was
    submitted with. `type` and `reason` say why it is here; `tries` is None where nobody has counted. `sent_at` is in
    seconds since 1970. `unreadable` says why no agent can read it, and is None for one that is a task. `group` says
    whose it is, where that is known (see `darkroom.policy.fairness`). `trace_header` is X-Ray's.
    """

    id: str
    type: str
    reason: str
    tries: int | None
    sent_at: float
    task_id: str | None
    submission_id: str
    text: str
    attributes: Mapping[str, str]
    unreadable: str | None = None
    group: str | None = None
    trace_header: str | None = None

    @property
    def is_low(self) -> bool:
        """Whether its task waits for those of normal priority, as the message was published."""
        return self.attributes.get(PRIORITY_ATTRIBUTE) == Priority.LOW


class Redelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What to send to the runtime's queue in place of a dead letter."""

    body: str
    attributes: Mapping[str, str]
    submission_id: str
    group: str | None = None
    trace_header: str | None = None


def letter_attributes(
    original: Mapping[str, str],
    *,
    body: str,
    submission_id: str,
    error: DarkroomError,
    received: int,
    task_id: str | None,
) -> dict[str, str]:
    """The attributes of the letter that a message with this `body` and the attributes `original` becomes.

    They say why; the submission's id is always there, whatever the message itself had, and then what fits.
    """
    own = least_attributes(submission_id, error)
    more = {TRIES_ATTRIBUTE: str(received), REASON_ATTRIBUTE: _printable(str(error), _LONGEST_REASON)}
    if task_id:
        more[TASK_ATTRIBUTE] = _printable(task_id, _LONGEST_ID)
    for name, value in more.items():
        if fits_a_queue(body, {**own, name: value}):
            own[name] = value
    # A letter that was put back by other means than Darkroom's still says why it died before.
    others = {name: value for name, value in original.items() if not name.startswith(_OWN_PREFIX)}
    return copied_attributes(own, others, body)


def least_attributes(submission_id: str, error: DarkroomError) -> dict[str, str]:
    """What every letter says: whose it is, and that its end was told."""
    return {SUBMISSION_ATTRIBUTE: submission_id, TYPE_ATTRIBUTE: error.type}


def is_labelled(attributes: Mapping[str, str]) -> bool:
    """Whether an agent made this letter and told of its end. SQS moves messages without a word."""
    return TYPE_ATTRIBUTE in attributes


def read_dead_letter(
    message_id: str,
    body: str,
    attributes: Mapping[str, str],
    sent_at: float,
    *,
    group: str | None = None,
    trace_header: str | None = None,
) -> DeadLetter:
    """Read a message of a queue of dead letters; anything can be read, and `unreadable` says whether it is a task."""
    text, own, fallback_id = open_envelope(body, attributes, message_id)
    task_id, fault = _judge(text, body, attributes, message_id)
    died_as = attributes.get(TYPE_ATTRIBUTE, MOVED_BY_SQS)
    reason = attributes.get(REASON_ATTRIBUTE, _MOVED_REASON)
    if fault is None and died_as == UnreadableMessage.__name__:
        fault = reason  # the runtime's agent knows more than can be seen here: which kinds it does, say
    tries = attributes.get(TRIES_ATTRIBUTE, "")
    return DeadLetter(
        id=message_id,
        type=died_as,
        reason=reason,
        tries=int(tries) if tries.isdecimal() and len(tries) <= _LONGEST_COUNT else None,
        sent_at=sent_at,
        task_id=task_id or attributes.get(TASK_ATTRIBUTE) or own.get(MESSAGE_TASK_ATTRIBUTE),
        submission_id=submission_id_of(own, fallback_id, message_id),
        text=text,
        attributes={name: value for name, value in own.items() if not name.startswith(_OWN_PREFIX)},
        unreadable=fault,
        group=group,
        trace_header=trace_header,
    )


def redrive(letter: DeadLetter, *, force: bool = False) -> Redelivery:
    """Turn a letter into a new submission: the bare text, with its own attributes and a new submission id.

    It stays in its trace. Its time in the queue begins anew: somebody wants it now. Raises `UnreadableMessage` for one
    that is no task, unless `force` is set.
    """
    if letter.unreadable is not None and not force:
        raise UnreadableMessage(
            f"the letter {letter.id} would only come back: {letter.unreadable} (--force sends it nevertheless)"
        )
    submission_id = hashlib.sha256(f"redrive/{letter.id}".encode()).hexdigest()[:32]
    others = {name: value for name, value in letter.attributes.items() if name not in _OF_THE_OLD_SUBMISSION}
    if letter.task_id and PREFIX_ATTRIBUTE in others:  # the letter's own attribute has taken the place of this one
        others.setdefault(MESSAGE_TASK_ATTRIBUTE, letter.task_id)
    return Redelivery(
        body=letter.text,
        attributes=copied_attributes({SUBMISSION_ATTRIBUTE: submission_id}, others, letter.text),
        submission_id=submission_id,
        group=letter.group,
        trace_header=letter.trace_header,
    )


def is_named(letter: DeadLetter, name: str) -> bool:
    """Whether `name` means this letter: the first characters of its id (four or more), or its task's id."""
    return letter.task_id == name or (len(name) >= _SHORTEST_PREFIX and letter.id.startswith(name))


def select(letters: Iterable[DeadLetter], names: Sequence[str]) -> list[DeadLetter]:
    """The letters that `names` mean: for the id of a task, every letter of that task.

    Raises `InvalidRequest` that says for each name that means none, or is the beginning of several ids, what is wrong.
    """
    known = list(letters)
    chosen: dict[str, DeadLetter] = {}
    faults = []
    for name in names:
        found = [letter for letter in known if is_named(letter, name)]
        if not found:
            faults.append(Fault(name, "there is no such dead letter; `darkroom dlq list` shows those that there are"))
        elif len(found) > 1 and not all(letter.task_id == name for letter in found):
            longer = ", ".join(letter.id for letter in found)
            faults.append(Fault(name, f"is the beginning of several ids; give more of it: {longer}"))
        chosen.update((letter.id, letter) for letter in found)
    if faults:
        raise InvalidRequest(faults)
    return list(chosen.values())


def _printable(text: str, longest: int) -> str:
    """Text that an SQS attribute takes: not empty, no control characters, and not without end."""
    return "".join(character if character.isprintable() else " " for character in text[:longest]) or "-"


def _judge(text: str, body: str, attributes: Mapping[str, str], message_id: str) -> tuple[str | None, str | None]:
    """The task's id, if it can be read, and why the message is no task, or None where it is one or is offloaded."""
    try:
        delivery = unwrap(body, attributes, message_id)
    except UnreadableMessage as error:
        return None, str(error)
    if not isinstance(delivery.payload, str):
        return None, None
    draft = decode_message(text)
    return draft.id, str(InvalidRequest(draft.faults)) if draft.faults else None
