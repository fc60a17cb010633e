"""Outcomes, object keys, notifications: decisions as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom import errors
from darkroom.errors import (
    AwsUnavailable,
    DarkroomError,
    GenerationFailed,
    GenerationRefused,
    RuntimeKilled,
    RuntimeUnreachable,
)
from darkroom.policy.object_keys import LONGEST_SUFFIX_BYTES, TaskObjects
from darkroom.policy.outcomes import (
    DeadLetter,
    FailForGood,
    GiveBack,
    StartOver,
    Tries,
    backoff_seconds,
    decide_on_failure,
)
from darkroom.tasks.notification import (
    Notification,
    NotifiedError,
    bounded_warnings,
    decode_notification,
    encode_notification,
    notification_attributes,
)
from darkroom.tasks.task import Status, Task, TaskKind

TASK = Task(id="test-t2i", runtime="sdruntime", kind=TaskKind.TEXT_TO_IMAGE, prefix="output", content={})


def test_a_fault_of_the_request_fails_for_good_on_the_first_try() -> None:
    error = GenerationRefused("unknown sampler")
    assert decide_on_failure(error, Tries(1, 6), 0.5) == FailForGood(error)


def test_a_passing_fault_is_tried_again_until_the_last_try() -> None:
    error = GenerationFailed("out of memory")
    outcomes = [decide_on_failure(error, Tries(received, 6), 1.0) for received in range(1, 6)]
    assert outcomes == [GiveBack(delay, "out of memory") for delay in (2, 4, 8, 16)] + [DeadLetter(error)]


@pytest.mark.parametrize("error", [AwsUnavailable("S3 is away"), RuntimeUnreachable("nobody listens")])
def test_an_outage_uses_up_no_try(error: DarkroomError) -> None:
    assert decide_on_failure(error, Tries(1, 6), 1.0) == StartOver(2, str(error))
    assert decide_on_failure(error, Tries(5, 6), 1.0) == StartOver(10, str(error))


def test_a_task_that_takes_runtimes_down_is_set_aside_at_once() -> None:
    error = RuntimeKilled("twice")
    assert decide_on_failure(error, Tries(2, 6), 0.5) == DeadLetter(error)


def test_the_last_receive_is_kept_for_telling() -> None:
    assert [Tries(received, 6).are_used_up for received in (1, 5, 6)] == [False, False, True]


def test_without_dead_letters_a_task_is_tried_for_ever() -> None:
    assert isinstance(decide_on_failure(GenerationFailed("x"), Tries(1000, None), 0.0), GiveBack)
    assert not Tries(1000, None).are_used_up


def test_a_queue_that_allows_one_receive_still_gets_one_try() -> None:
    assert not Tries(1, 1).are_used_up
    assert Tries(1, 1).is_last


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_is_bounded(tries: int, jitter: float) -> None:
    assert 1 <= backoff_seconds(tries, jitter) <= 300


def test_objects_are_named_as_in_the_guide_and_the_same_each_time() -> None:
    objects = TaskObjects.of(TASK, "submission", "outputbucket")
    assert objects == TaskObjects.of(TASK, "submission", "outputbucket")
    token = objects.stem.removeprefix("test-t2i-")
    assert len(token) == 4
    assert token.isalnum()
    assert objects.picture_key(1, "png") == f"output/test-t2i/test-t2i-{token}-1.png"
    assert objects.output_key == f"output/test-t2i/test-t2i-{token}.out"
    assert objects.url("k") == "s3://outputbucket/k"
    assert objects.stem != TaskObjects.of(TASK, "another", "outputbucket").stem


def test_what_follows_on_taken_names_is_the_same_each_time_and_the_submissions_own() -> None:
    def stems(submission: str) -> list[str]:
        names, found = TaskObjects.of(TASK, submission, "b"), []
        for _ in range(50):
            found.append(names.stem)
            names = names.next()
        return found

    assert stems("s1") == stems("s1")
    assert len({*stems("s1"), *stems("s2")}) > 95


def test_no_key_is_longer_than_was_admitted() -> None:
    objects = TaskObjects.of(TASK, "submission", "b")
    longest = objects.picture_key(999_999, "safetensors")
    assert len(longest) - len("output") - 2 * len("test-t2i") <= LONGEST_SUFFIX_BYTES


def test_a_notification_has_the_guides_fields_and_goes_through_its_text() -> None:
    done = Notification(
        id="t",
        status=Status.COMPLETED,
        runtime="sdruntime",
        result=True,
        image_url=["s3://b/p/t/t-abcd-1.png"],
        output_url="s3://b/p/t/t-abcd.out",
        context={"abc": 123},
    )
    text = encode_notification(done)
    assert decode_notification(text) == done
    assert '"context":{"abc":123}' in text
    assert '"result":true' in text
    running = encode_notification(Notification(id="t", status=Status.RUNNING, runtime="r", context=""))
    assert running == '{"id":"t","status":"running","runtime":"r","context":""}'


def test_every_terminal_notification_of_a_submission_has_one_id() -> None:
    def attributes(status: Status, submission: str = "s1", **fields: bool) -> dict[str, str]:
        return notification_attributes(Notification(id="t", status=status, runtime="r", **fields), submission)

    failed = attributes(Status.FAILED, result=False)
    assert failed["notification_id"] == attributes(Status.COMPLETED, result=True)["notification_id"]
    assert failed["notification_id"] != attributes(Status.RUNNING)["notification_id"]
    assert failed["notification_id"] != attributes(Status.FAILED, "s2")["notification_id"]
    assert (failed["result"], failed["status"], failed["runtime"]) == ("false", "failed", "r")
    assert "result" not in attributes(Status.RUNNING)


def test_an_error_is_notified_with_its_type_and_whether_trying_again_helps() -> None:
    assert NotifiedError.of(GenerationFailed("boom")) == NotifiedError("GenerationFailed", "boom", True)


def every_error() -> list[type[DarkroomError]]:
    found, queue = [], [DarkroomError]
    while queue:
        error = queue.pop()
        found.append(error)
        queue.extend(cls for cls in error.__subclasses__() if cls.__module__ == errors.__name__)
    return found


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_the_drawing_at_the_top_of_errors_shows_every_error(error: type[DarkroomError]) -> None:
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__.split()


def test_warnings_never_outgrow_a_notification() -> None:
    assert bounded_warnings(["one", "two"]) == ("one", "two")
    bounded = bounded_warnings(["x" * 10_000] * 100)
    assert sum(len(text) for text in bounded) < 9000
    assert bounded[-1] == "and 85 more warnings; the agent's log has them all"
