"""The checks of a chaos run find what they are for: each kind of broken promise is seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from darkroom.policy.dead_letters import MOVED_BY_SQS, DeadLetter
from darkroom.tasks.notification import Notification, encode_notification
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.tasks.usage import Usage
from tests.chaos.aftermath import Aftermath, Heard, Pictured, Stored, terminal_id
from tests.chaos.invariants import broken_promises
from tests.chaos.tasks import Fate, PlannedTask, Submission


def planned(name: str, fate: Fate, seed: int, **more: Any) -> Submission:
    return Submission(f"s-{name}", PlannedTask(name, f"s-{name}", fate, 1, seed, {}, caller="shop"), **more)


GOOD, POISON = planned("good", Fate.GOOD, 10), planned("poison", Fate.POISON, 20)
UNREADABLE = planned("unreadable", Fate.UNREADABLE, 30)
UNHEARD = planned("unheard", Fate.GOOD, 40, accepted=False)
REGRETTED = planned("regretted", Fate.GOOD, 50, may_be_cancelled=True)
FOREIGN = planned("foreign", Fate.FOREIGN, 60)
ALL = [GOOD, POISON, UNREADABLE, UNHEARD, REGRETTED, FOREIGN]
PICTURE, OUTPUT = "output/good-1.png", "output/good.out"


LABS = {"number": "good", "caller": "lab"}


def heard(
    one: Submission,
    status: Status,
    *keys: str,
    output: str | None = None,
    at: float = 100.0,
    context: dict[str, str] | None = None,
) -> Heard:
    notification = Notification(
        id=one.task.task_id,
        status=status,
        runtime="r",
        result=status is Status.COMPLETED,
        image_url=[f"s3://b/{key}" for key in keys],
        output_url=f"s3://b/{output or f'output/{one.task.task_id}.out'}",
        context=context or one.task.context,
    )
    return Heard(terminal_id(one.id), encode_notification(notification), at, "shop")


def record(one: Submission, status: Status, **changes: Any) -> TaskRecord:
    """The record of a task that ended at 100."""
    kept = TaskRecord(
        id=one.task.task_id, submission_id=one.id, status=status, runtime="r", caller="shop", ended_at=100.0
    )
    return msgspec.structs.replace(kept, **changes)


def letter(one: Submission, **changes: Any) -> DeadLetter:
    found = DeadLetter(
        id="l1",
        type="UnreadableMessage",
        reason="x",
        tries=5,
        sent_at=0.0,
        task_id=one.task.task_id,
        submission_id=one.id,
        text="",
        attributes={},
    )
    return msgspec.structs.replace(found, **changes)


COMPLETED = heard(GOOD, Status.COMPLETED, PICTURE)
OTHERS = [
    heard(POISON, Status.FAILED),
    heard(UNREADABLE, Status.FAILED),
    heard(REGRETTED, Status.CANCELLED),
    heard(FOREIGN, Status.FAILED),
]
GENERATED = frozenset({"trainedAlgorithmicMedia"})
LABELLED = Pictured(10, False, GENERATED, "shop")
RECORDS = {
    GOOD.id: record(GOOD, Status.COMPLETED, image_url=["s3://b/1"], device_seconds=2.0),
    POISON.id: record(POISON, Status.FAILED),
    UNREADABLE.id: record(UNREADABLE, Status.FAILED),
    REGRETTED.id: record(REGRETTED, Status.CANCELLED),
    FOREIGN.id: record(FOREIGN, Status.FAILED),
}
USED = Usage(completed=1, failed=3, cancelled=1, pictures=1, device_seconds=2.0)
FINE = Aftermath(
    heard=[COMPLETED, *OTHERS, COMPLETED],
    letters=[letter(UNREADABLE), letter(POISON)],
    objects={
        name: Stored(10, 99.0)
        for name in (
            PICTURE,
            OUTPUT,
            "output/poison.out",
            "output/unreadable.out",
            "output/regretted.out",
            "output/foreign.out",
        )
    },
    pictures={PICTURE: LABELLED},
    begun={10: 98.0},
    bucket="b",
    queues={"visible": 0, "in flight": 0},
    faults_of_darkroom=[],
    patience_seconds=5.0,
    records=RECORDS,
    used={"shop": USED, "lab": Usage()},
)


def without(name: str) -> dict[str, Stored]:
    return {key: stored for key, stored in FINE.objects.items() if key != name}


def test_a_good_run_breaks_no_promise() -> None:
    assert broken_promises(ALL, FINE) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"heard": OTHERS}, "1 tasks were lost: no terminal notification: good"),
        ({"heard": [COMPLETED, *OTHERS, heard(GOOD, Status.FAILED)]}, "contradict"),
        ({"heard": [COMPLETED, *OTHERS, Heard("other", COMPLETED.body)]}, "of no submission"),
        ({"heard": [heard(GOOD, Status.FAILED), *OTHERS]}, "ended in a way"),
        ({"heard": [heard(GOOD, Status.CANCELLED), *OTHERS]}, "ended in a way"),
        ({"heard": [heard(GOOD, Status.COMPLETED), *OTHERS]}, "ended in a way"),
        ({"heard": [COMPLETED, *OTHERS, heard(POISON, Status.COMPLETED, PICTURE)]}, "ended in a way"),
        ({"heard": [*OTHERS, Heard(COMPLETED.notification_id, OTHERS[0].body)]}, "was told as"),
        ({"objects": without(PICTURE)}, PICTURE),
        ({"objects": {**FINE.objects, PICTURE: Stored(0, 99.0)}}, PICTURE),
        ({"objects": without(OUTPUT)}, OUTPUT),
        ({"objects": {**FINE.objects, PICTURE: Stored(10, 102.0)}}, "written again"),
        ({"pictures": {PICTURE: Pictured(50, False, GENERATED)}}, "made for the seed 50"),
        ({"pictures": {PICTURE: Pictured(10, True, GENERATED)}}, "what was told of them"),
        ({"pictures": {PICTURE: Pictured(10, False)}}, "what was told of them"),
        ({"pictures": {PICTURE: Pictured(10, False, GENERATED)}}, "of 'shop' says ''"),
        ({"pictures": {PICTURE: Pictured(10, False, GENERATED, "lab")}}, "of 'shop' says 'lab'"),
        ({"begun": {60: 90.0}}, "another caller's picture: foreign of shop"),
        ({"heard": [*FINE.heard, heard(UNHEARD, Status.COMPLETED, PICTURE)]}, "belong to two tasks"),
        ({"begun": {10: 110.0}}, "good (10.0 s later)"),
        ({"letters": [letter(UNREADABLE), letter(GOOD)]}, "good (good) is there"),
        ({"letters": [letter(UNREADABLE, type=MOVED_BY_SQS)]}, "in silence"),
        ({"letters": []}, "unreadable (unreadable) is missing"),
        ({"heard": [msgspec.structs.replace(COMPLETED, caller="lab"), *OTHERS]}, "'lab' is named"),
        ({"heard": [heard(GOOD, Status.COMPLETED, PICTURE, context=LABS), *OTHERS]}, "ended in a way"),
        ({"records": {**RECORDS, GOOD.id: record(GOOD, Status.RUNNING)}}, "good of shop is running"),
        ({"records": {**RECORDS, GOOD.id: record(GOOD, Status.FAILED)}}, "good of shop is failed"),
        ({"records": {**RECORDS, GOOD.id: record(GOOD, Status.COMPLETED, caller="lab")}}, "good of lab is completed"),
        ({"records": {name: one for name, one in RECORDS.items() if name != GOOD.id}}, "good of shop has none"),
        ({"begun": {50: 102.0}}, "regretted of shop (2.0 s later)"),
        ({"used": {"shop": msgspec.structs.replace(USED, completed=2)}}, "callers' usage is not what was done: shop"),
        ({"used": {"shop": msgspec.structs.replace(USED, pictures=0)}}, "callers' usage is not what was done: shop"),
        ({"used": {"shop": msgspec.structs.replace(USED, device_seconds=9.0)}}, "usage is not what was done: shop"),
        ({"used": {"shop": USED, "lab": Usage(failed=1)}}, "callers' usage is not what was done: lab"),
        ({"seen_of_others": ["lab was shown a task of shop"]}, "lab was shown"),
        ({"interrupted_by_others": ["agent-0.log"]}, "interrupted by somebody else"),
        ({"queues": {"visible": 0, "in flight": 1}}, "in flight: 1"),
        ({"faults_of_darkroom": ["agent-0.log: KeyError"]}, "KeyError"),
    ],
)
def test_each_kind_of_broken_promise_is_seen(changes: dict[str, Any], says: str) -> None:
    broken = broken_promises(ALL, msgspec.structs.replace(FINE, **changes))
    assert any(says in promise for promise in broken), broken
