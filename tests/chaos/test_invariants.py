"""The checks of a chaos run find what they are for: each kind of broken promise is seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from darkroom.policy.dead_letters import MOVED_BY_SQS, DeadLetter
from darkroom.tasks.notification import Notification, encode_notification
from darkroom.tasks.task import Status
from tests.chaos.invariants import Aftermath, Heard, broken_promises, terminal_id
from tests.chaos.plan import Fate, PlannedTask


def planned(name: str, fate: Fate) -> PlannedTask:
    return PlannedTask(name, f"s-{name}", fate, 1, {}, doubled=False, offloaded=False)


GOOD, POISON = planned("good", Fate.GOOD), planned("poison", Fate.POISON)
PICTURE, OUTPUT, FAILED_OUTPUT = "output/good-1.png", "output/good.out", "output/poison.out"


def heard(task: PlannedTask, status: Status, *keys: str, output: str = OUTPUT) -> Heard:
    notification = Notification(
        id=task.task_id,
        status=status,
        runtime="r",
        result=status is Status.COMPLETED,
        image_url=[f"s3://b/{key}" for key in keys],
        output_url=f"s3://b/{output}",
    )
    return Heard(terminal_id(task.submission_id), encode_notification(notification))


def letter(task: PlannedTask, **changes: Any) -> DeadLetter:
    found = DeadLetter(
        id="l1",
        type="GenerationFailed",
        reason="x",
        tries=5,
        sent_at=0.0,
        task_id=task.task_id,
        submission_id=task.submission_id,
        text="",
        attributes={},
    )
    return msgspec.structs.replace(found, **changes)


COMPLETED = heard(GOOD, Status.COMPLETED, PICTURE)
FAILED = heard(POISON, Status.FAILED, output=FAILED_OUTPUT)
FINE = Aftermath(
    heard=[COMPLETED, FAILED, COMPLETED],
    letters=[letter(POISON)],
    objects={PICTURE: 1500, OUTPUT: 10, FAILED_OUTPUT: 10},
    bucket="b",
    queues={"visible": 0, "in flight": 0},
    faults_of_darkroom=[],
)


def test_a_good_run_breaks_no_promise() -> None:
    assert broken_promises([GOOD, POISON], FINE) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"heard": [FAILED]}, "1 tasks were lost: no terminal notification: good"),
        ({"heard": [COMPLETED, FAILED, heard(GOOD, Status.FAILED)]}, "contradict"),
        ({"heard": [COMPLETED, FAILED, Heard("other", COMPLETED.body)]}, "of no submission"),
        ({"heard": [heard(GOOD, Status.FAILED), FAILED]}, "ended in a way"),
        ({"heard": [heard(GOOD, Status.COMPLETED), FAILED]}, "ended in a way"),
        ({"heard": [COMPLETED, heard(POISON, Status.COMPLETED, PICTURE)]}, "ended in a way"),
        ({"objects": {OUTPUT: 10, FAILED_OUTPUT: 10}}, PICTURE),
        ({"objects": {PICTURE: 0, OUTPUT: 10, FAILED_OUTPUT: 10}}, PICTURE),
        ({"objects": {PICTURE: 1500, FAILED_OUTPUT: 10}}, OUTPUT),
        ({"letters": [letter(POISON), letter(GOOD)]}, "good (good) is there"),
        ({"letters": [letter(POISON, type=MOVED_BY_SQS)]}, "in silence"),
        ({"letters": []}, "poison (poison) is missing"),
        ({"queues": {"visible": 0, "in flight": 1}}, "in flight: 1"),
        ({"faults_of_darkroom": ["agent-0.log: KeyError"]}, "KeyError"),
    ],
)
def test_each_kind_of_broken_promise_is_seen(changes: dict[str, Any], says: str) -> None:
    broken = broken_promises([GOOD, POISON], msgspec.structs.replace(FINE, **changes))
    assert any(says in promise for promise in broken), broken
