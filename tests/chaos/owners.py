"""What has to hold for two callers with tasks of the same ids: each has its own, all of it, and nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from darkroom.tasks.notification import decode_notification
from darkroom.tasks.task import Status
from darkroom.tasks.usage import Usage, usage_of
from tests.chaos.aftermath import Aftermath, Heard, terminal_id
from tests.chaos.tasks import Fate, Submission

# A clock's resolution, in seconds.
SLACK_SECONDS = 1.5


def told_of_others(submissions: Sequence[Submission], heard: Sequence[Heard]) -> Iterable[str]:
    """Notifications that name another caller than whose task it is."""
    owners = {terminal_id(one.id): one.task.caller for one in submissions}
    for one in heard:
        owner = owners.get(one.notification_id, one.caller)
        if owner != one.caller:
            yield f"{owner!r} has the task, and {one.caller!r} is named: {one.body}"


def wrong_records(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    """Records that say another end, or another caller, than what was told: a task ends in one state."""
    told = {one.notification_id: decode_notification(one.body) for one in aftermath.heard}
    for one in submissions:
        end, record = told.get(terminal_id(one.id)), aftermath.records.get(one.id)
        if end is None:  # that is another promise
            continue
        if record is None:
            yield f"{one.task.task_id} of {one.task.caller} has none"
        elif (record.status, record.caller, record.id) != (end.status, one.task.caller, end.id):
            yield f"{record.id} of {record.caller} is {record.status}; {end.id} of {one.task.caller}: {end.status}"


def begun_when_cancelled(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    """Tasks whose generation began after their record had said that they were cancelled."""
    of_seed = Counter(one.task.seed for one in submissions)
    for one in submissions:
        record, begun = aftermath.records.get(one.id), aftermath.begun.get(one.task.seed)
        if record is None or record.status is not Status.CANCELLED or begun is None or of_seed[one.task.seed] > 1:
            continue
        if record.ended_at is not None and begun > record.ended_at + SLACK_SECONDS:
            yield f"{one.task.task_id} of {one.task.caller} ({begun - record.ended_at:.1f} s later)"


def begun_with_others(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    """Tasks that were to begin with another caller's picture, and were generated."""
    for one in submissions:
        if one.task.fate is Fate.FOREIGN and one.task.seed in aftermath.begun:
            yield f"{one.task.task_id} of {one.task.caller}"


def wrong_owners(submissions: Sequence[Submission], aftermath: Aftermath) -> Iterable[str]:
    """Pictures that an end names, and that say that they are another's, or nobody's."""
    owners = {terminal_id(one.id): one.task.caller for one in submissions}
    for one in aftermath.heard:
        for url in decode_notification(one.body).image_url or []:
            found = aftermath.pictures.get(url.removeprefix(f"s3://{aftermath.bucket}/"))
            if found is not None and found.owner != owners.get(one.notification_id):
                yield f"{url} of {owners.get(one.notification_id)!r} says {found.owner!r}"


def wrong_usage(aftermath: Aftermath) -> Iterable[str]:
    """Callers who were counted more or less than what their records say was done."""
    done: dict[str, Usage] = defaultdict(Usage)
    for record in aftermath.records.values():
        if record.status.is_terminal:
            pictures = len(record.image_url) + record.image_url_omitted
            seconds = record.device_seconds or 0.0
            done[record.caller] = done[record.caller].plus(
                usage_of(record.status, pictures=pictures, device_seconds=seconds)
            )
    for caller in sorted({*done, *aftermath.used}):
        counted, expected = aftermath.used.get(caller, Usage()), done[caller]
        seconds = abs(counted.device_seconds - expected.device_seconds)
        if (
            msgspec.structs.replace(counted, device_seconds=expected.device_seconds) != expected
            or seconds > SLACK_SECONDS
        ):
            yield f"{caller}: {counted} was counted, and {expected} was done"
