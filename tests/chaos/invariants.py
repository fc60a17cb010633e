"""What has to hold at the end of a chaos run, whatever happened: each broken promise is a line for a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from darkroom.policy.dead_letters import MOVED_BY_SQS, DeadLetter
from darkroom.tasks.notification import Credentials, Notification, decode_notification
from darkroom.tasks.task import Status
from tests.chaos.aftermath import Aftermath, Heard, Pictured, terminal_id
from tests.chaos.owners import (
    SLACK_SECONDS,
    begun_when_cancelled,
    begun_with_others,
    told_of_others,
    wrong_owners,
    wrong_records,
    wrong_usage,
)
from tests.chaos.tasks import Fate, Submission

_MOST_EXAMPLES = 5
_MUST_BE_SET_ASIDE = (Fate.UNREADABLE, Fate.MOVED)
# These fail: at once, or when their tries are used up.
_MAY_BE_SET_ASIDE = (*_MUST_BE_SET_ASIDE, Fate.POISON, Fate.REFUSED, Fate.DEAD_LINK, Fate.FOREIGN)
_GENERATED = frozenset({"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"})


def broken_promises(submissions: Sequence[Submission], aftermath: Aftermath) -> list[str]:
    """Every invariant that does not hold; empty after a good run."""
    return [
        *_summed_up(_untold(submissions, aftermath.heard), "tasks were lost: no terminal notification"),
        *_summed_up(_contradictions(aftermath.heard), "notifications contradict others of the same id"),
        *_summed_up(_strangers(submissions, aftermath.heard), "notifications are of no submission"),
        *_summed_up(_wrong_ends(submissions, aftermath.heard), "tasks ended in a way that they must not"),
        *_summed_up(_missing_objects(aftermath), "URLs in notifications lead nowhere"),
        *_summed_up(_foreign_pictures(submissions, aftermath), "pictures are another task's"),
        *_summed_up(_misdescribed(aftermath), "pictures do not say of their making what was told of them"),
        *_summed_up(_shared_objects(aftermath), "objects belong to two tasks"),
        *_summed_up(_overwritten(aftermath), "objects were written again after they had been told"),
        *_summed_up(_made_again(submissions, aftermath), "tasks were begun again after their end had been told"),
        *_summed_up(told_of_others(submissions, aftermath.heard), "notifications name another caller"),
        *_summed_up(wrong_records(submissions, aftermath), "records do not say what was told of the task"),
        *_summed_up(begun_when_cancelled(submissions, aftermath), "tasks were begun after they had been cancelled"),
        *_summed_up(begun_with_others(submissions, aftermath), "tasks were begun with another caller's picture"),
        *_summed_up(wrong_owners(submissions, aftermath), "pictures do not say whose they are"),
        *_summed_up(wrong_usage(aftermath), "callers' usage is not what was done"),
        *_summed_up(aftermath.seen_of_others, "things were shown to callers whose they are not"),
        *_summed_up(aftermath.interrupted_by_others, "generations were interrupted by somebody else"),
        *_summed_up(_wrong_letters(submissions, aftermath.letters), "things are wrong with the dead letters"),
        *_summed_up((f"{name}: {left}" for name, left in aftermath.queues.items() if left), "queues are not empty"),
        *_summed_up(aftermath.faults_of_darkroom, "faults in Darkroom itself were logged"),
    ]


def _summed_up(examples: Iterable[str], what: str) -> list[str]:
    found = list(examples)
    if not found:
        return []
    more = f" (and {len(found) - _MOST_EXAMPLES} more)" if len(found) > _MOST_EXAMPLES else ""
    return [f"{len(found)} {what}: {'; '.join(found[:_MOST_EXAMPLES])}{more}"]


def _untold(submissions: Sequence[Submission], heard: Sequence[Heard]) -> Iterable[str]:
    told = {one.notification_id for one in heard}
    return (f"{one.task.task_id} ({one.task.fate})" for one in submissions if one.accepted and _end(one) not in told)


def _contradictions(heard: Sequence[Heard]) -> Iterable[str]:
    bodies: dict[str, set[str]] = defaultdict(set)
    for one in heard:
        bodies[one.notification_id].add(one.body)
    return (" <> ".join(sorted(different)) for different in bodies.values() if len(different) > 1)


def _strangers(submissions: Sequence[Submission], heard: Sequence[Heard]) -> Iterable[str]:
    known = {_end(one) for one in submissions}
    return (one.body for one in heard if one.notification_id not in known)


def _wrong_ends(submissions: Sequence[Submission], heard: Sequence[Heard]) -> Iterable[str]:
    by_id = {one.notification_id: decode_notification(one.body) for one in heard}
    for one in submissions:
        end, task = by_id.get(_end(one)), one.task
        if end is None or (end.status is Status.CANCELLED and one.may_be_cancelled):
            continue
        if end.id != task.task_id or end.context != task.context:
            yield f"{task.task_id} was told as {end}"
        elif task.fate is Fate.GOOD:
            if end.status is not Status.COMPLETED or len(end.image_url or []) != task.pictures:
                yield f"{task.task_id} wanted {task.pictures} pictures and got {end}"
        elif end.status is not Status.FAILED or end.image_url:
            yield f"{task.task_id} ({task.fate}) got {end}"


def _missing_objects(aftermath: Aftermath) -> Iterable[str]:
    for end, url, key in _named(aftermath):
        found = aftermath.objects.get(key)
        if found is None or not found.size:
            yield f"{end.id}: {url}"


def _foreign_pictures(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    tasks = {_end(one): one.task for one in submissions}
    for heard in aftermath.heard:
        task, end = tasks.get(heard.notification_id), decode_notification(heard.body)
        if task is None:
            continue
        for number, url in enumerate(end.image_url or []):
            seed = aftermath.pictures.get(_key(url, aftermath.bucket), Pictured()).seed
            if seed is not None and seed != task.seed + number:
                yield f"{url} was made for the seed {seed}, and {task.task_id} asked for {task.seed + number}"


def _misdescribed(aftermath: Aftermath) -> Iterable[str]:
    """Every picture is signed, or says by itself what it is, and its end says which: whatever was away."""
    for heard in aftermath.heard:
        end = decode_notification(heard.body)
        if not end.image_url:
            continue
        told = end.provenance or [None] * len(end.image_url)
        for url, one in zip(end.image_url, told, strict=True):
            found = aftermath.pictures.get(_key(url, aftermath.bucket))
            if found is None:
                continue  # said by another
            signed = one is not None and one.credentials is Credentials.EMBEDDED
            if signed != found.is_signed or _GENERATED.isdisjoint(found.source_types):
                yield f"{url} was told to be {one}, and is {found}"


def _shared_objects(aftermath: Aftermath) -> Iterable[str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for heard in aftermath.heard:
        end = decode_notification(heard.body)
        for url in [*(end.image_url or []), *([end.output_url] if end.output_url else [])]:
            owners[url].add(heard.notification_id)
    return (url for url, ids in owners.items() if len(ids) > 1)


def _overwritten(aftermath: Aftermath) -> Iterable[str]:
    first: dict[str, float] = {}
    for heard in aftermath.heard:
        first[heard.notification_id] = min(first.get(heard.notification_id, heard.at), heard.at)
    seen: set[str] = set()
    for heard in aftermath.heard:
        end = decode_notification(heard.body)
        for url in [*(end.image_url or []), *([end.output_url] if end.output_url else [])]:
            found = aftermath.objects.get(_key(url, aftermath.bucket))
            late = found is not None and found.written_at > first[heard.notification_id] + SLACK_SECONDS
            if late and url not in seen:
                seen.add(url)
                yield url


def _made_again(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    told: dict[str, float] = {}
    for heard in aftermath.heard:
        told[heard.notification_id] = min(told.get(heard.notification_id, heard.at), heard.at)
    # A task of which the front door's caller never heard has the seed of the one that he sent in its place.
    of_seed = Counter(one.task.seed for one in submissions)
    for one in submissions:
        ended, begun = told.get(_end(one)), aftermath.begun.get(one.task.seed)
        if ended is None or begun is None or of_seed[one.task.seed] > 1:
            continue
        if begun > ended + aftermath.patience_seconds:
            yield f"{one.task.task_id} ({begun - ended:.1f} s later)"


def _wrong_letters(submissions: Sequence[Submission], letters: Sequence[DeadLetter]) -> Iterable[str]:
    by_id = {one.id: one for one in submissions}
    found = Counter(letter.submission_id for letter in letters)
    for letter in letters:
        one = by_id.get(letter.submission_id)
        fate = None if one is None else one.task.fate
        if fate not in _MAY_BE_SET_ASIDE:
            yield f"{letter.task_id} ({fate}) is there: {letter.type}: {letter.reason}"
        elif letter.type == MOVED_BY_SQS:
            yield f"{letter.task_id} ({fate}) was moved by SQS, in silence"
    for one in submissions:
        if one.task.fate in _MUST_BE_SET_ASIDE and not found[one.id]:
            yield f"{one.task.task_id} ({one.task.fate}) is missing"


def _named(aftermath: Aftermath) -> Iterator[tuple[Notification, str, str]]:
    """Every object that a notification names: the notification, the URL, and the key (all of it for a foreign URL)."""
    for heard in aftermath.heard:
        end = decode_notification(heard.body)
        for url in [*(end.image_url or []), *([end.output_url] if end.output_url else [])]:
            yield end, url, _key(url, aftermath.bucket)


def _key(url: str, bucket: str) -> str:
    return url.removeprefix(f"s3://{bucket}/")


def _end(submission: Submission) -> str:
    return terminal_id(submission.id)
