"""Whose an `.out` object is, and that a submission's end is found where it was written, whoever else writes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from darkroom.policy.ends import Anothers, Ended, NotEnded, judge_end
from darkroom.policy.object_keys import TaskObjects
from darkroom.tasks.notification import Notification, RecordedEnd, decode_end, encode_end
from darkroom.tasks.task import Status

END = Notification(id="t", status=Status.COMPLETED, runtime="r", result=True, image_url=[], context={"a": 1})


def names_of(submission: str) -> TaskObjects:
    return TaskObjects(bucket="b", folder="p/t", task_id="t", submission_id=submission)


def document(submission: str | None, end: Notification = END) -> bytes:
    return encode_end({"images": ["s3://b/x"]}, RecordedEnd(end, submission))


def test_an_end_says_what_the_runtime_returned_and_whose_it_is() -> None:
    read = msgspec.json.decode(document("s1"))
    assert (read["images"], read["submission_id"]) == (["s3://b/x"], "s1")
    assert decode_end(document("s1")) == RecordedEnd(END, "s1")


def test_what_a_runtime_returns_cannot_pass_for_an_end() -> None:
    forged = {"submission_id": "s2", "notification": {"id": "t", "status": "failed", "runtime": "r"}}
    assert decode_end(encode_end(forged, RecordedEnd(END, "s1"))) == RecordedEnd(END, "s1")


def test_an_end_is_ours_anothers_or_not_there() -> None:
    ours = names_of("s1")
    assert judge_end(None, ours) == NotEnded()
    assert judge_end(document("s1"), ours) == Ended(END)
    assert judge_end(document("s2"), ours) == Anothers(ours.next())
    assert judge_end(document("s1", msgspec.structs.replace(END, id="u")), ours) == Anothers(ours.next())
    for strange in (b"", b"[", b"{}", b'{"notification": 1}', b"\xff", b"[" * 100_000):
        assert judge_end(strange, ours) == Anothers(ours.next())


def test_an_end_that_does_not_say_whose_it_is_is_ours_under_our_first_name_alone() -> None:
    ours = names_of("s1")
    assert judge_end(document(None), ours) == Ended(END)
    assert judge_end(document(None), ours.next()) == Anothers(ours.next().next())


@given(st.lists(st.integers(0, 9), max_size=60))
def test_every_submission_finds_its_own_end_whatever_the_order_and_however_few_the_names(order: list[int]) -> None:
    """The names are cut down to one letter of an alphabet of four, so that all of them are taken by others."""
    bucket: dict[str, bytes] = {}
    ends: dict[str, str] = {}

    def narrow(names: TaskObjects) -> str:
        return str(sum(names.stem.encode()) % 4 if names.turn < 20 else f"{names.submission_id}-{names.turn}")

    for number in order:
        submission = f"s{number}"
        names = names_of(submission)
        while not isinstance(found := judge_end(bucket.get(narrow(names)), names), Ended):
            if isinstance(found, NotEnded):
                assert submission not in ends
                bucket[narrow(names)] = document(submission)
                ends[submission] = narrow(names)
            else:
                names = found.names
        assert ends[submission] == narrow(names)
