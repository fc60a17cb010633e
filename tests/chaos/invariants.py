"""What has to hold at the end of a chaos run, whatever happened: each broken promise is a line for a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from darkroom.policy.dead_letters import MOVED_BY_SQS, DeadLetter
from darkroom.tasks.notification import Notification, decode_notification, notification_attributes
from darkroom.tasks.task import Status
from tests.chaos.plan import Fate, PlannedTask

_MOST_EXAMPLES = 5
_SET_ASIDE = (Fate.POISON, Fate.UNREADABLE, Fate.MOVED)


class Heard(msgspec.Struct, frozen=True):
    """One notification, as a subscriber got it."""

    notification_id: str
    body: str


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What there is when everything has come to rest: `objects` are sizes by key, `queues` counts of messages left."""

    heard: Sequence[Heard]
    letters: Sequence[DeadLetter]
    objects: Mapping[str, int]
    bucket: str
    queues: Mapping[str, int]
    faults_of_darkroom: Sequence[str]


def terminal_id(submission_id: str) -> str:
    """The id that the terminal notification of a submission has to have."""
    end = Notification(id="", status=Status.COMPLETED, runtime="")
    return notification_attributes(end, submission_id)["notification_id"]


def broken_promises(tasks: Sequence[PlannedTask], aftermath: Aftermath) -> list[str]:
    """Every invariant that does not hold; empty after a good run."""
    return [
        *_summed_up(_untold(tasks, aftermath.heard), "tasks were lost: no terminal notification"),
        *_summed_up(_contradictions(aftermath.heard), "notifications contradict others of the same id"),
        *_summed_up(_strangers(tasks, aftermath.heard), "notifications are of no submission"),
        *_summed_up(_wrong_ends(tasks, aftermath.heard), "tasks ended in a way that they must not"),
        *_summed_up(_missing_objects(aftermath), "URLs in notifications lead nowhere"),
        *_summed_up(_wrong_letters(tasks, aftermath.letters), "things are wrong with the dead letters"),
        *_summed_up((f"{name}: {left}" for name, left in aftermath.queues.items() if left), "queues are not empty"),
        *_summed_up(aftermath.faults_of_darkroom, "faults in Darkroom itself were logged"),
    ]


def _summed_up(examples: Iterable[str], what: str) -> list[str]:
    found = list(examples)
    if not found:
        return []
    more = f" (and {len(found) - _MOST_EXAMPLES} more)" if len(found) > _MOST_EXAMPLES else ""
    return [f"{len(found)} {what}: {'; '.join(found[:_MOST_EXAMPLES])}{more}"]


def _untold(tasks: Sequence[PlannedTask], heard: Sequence[Heard]) -> Iterable[str]:
    told = {one.notification_id for one in heard}
    return (f"{task.task_id} ({task.fate})" for task in tasks if terminal_id(task.submission_id) not in told)


def _contradictions(heard: Sequence[Heard]) -> Iterable[str]:
    bodies: dict[str, set[str]] = defaultdict(set)
    for one in heard:
        bodies[one.notification_id].add(one.body)
    return (" <> ".join(sorted(different)) for different in bodies.values() if len(different) > 1)


def _strangers(tasks: Sequence[PlannedTask], heard: Sequence[Heard]) -> Iterable[str]:
    known = {terminal_id(task.submission_id) for task in tasks}
    return (one.body for one in heard if one.notification_id not in known)


def _wrong_ends(tasks: Sequence[PlannedTask], heard: Sequence[Heard]) -> Iterable[str]:
    by_id = {one.notification_id: decode_notification(one.body) for one in heard}
    for task in tasks:
        end = by_id.get(terminal_id(task.submission_id))
        if end is None:
            continue
        if task.fate is Fate.GOOD:
            if end.status is not Status.COMPLETED or len(end.image_url or []) != task.pictures:
                yield f"{task.task_id} wanted {task.pictures} pictures and got {end}"
        elif end.status is not Status.FAILED or end.image_url:
            yield f"{task.task_id} ({task.fate}) got {end}"


def _missing_objects(aftermath: Aftermath) -> Iterable[str]:
    scheme = f"s3://{aftermath.bucket}/"
    for one in aftermath.heard:
        end = decode_notification(one.body)
        for url in [*(end.image_url or []), *([end.output_url] if end.output_url else [])]:
            if not url.startswith(scheme) or not aftermath.objects.get(url.removeprefix(scheme)):
                yield f"{end.id}: {url}"


def _wrong_letters(tasks: Sequence[PlannedTask], letters: Sequence[DeadLetter]) -> Iterable[str]:
    fates = {task.task_id: task.fate for task in tasks}
    found = Counter(letter.task_id for letter in letters)
    for letter in letters:
        fate = fates.get(letter.task_id or "")
        if fate not in _SET_ASIDE:
            yield f"{letter.task_id} ({fate}) is there: {letter.type}: {letter.reason}"
        elif letter.type == MOVED_BY_SQS:
            yield f"{letter.task_id} ({fate}) was moved by SQS, in silence"
    for task in tasks:
        if task.fate in _SET_ASIDE and not found[task.task_id]:
            yield f"{task.task_id} ({task.fate}) is missing"
