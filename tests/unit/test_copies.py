"""What of a message its copies keep: those that replace it, and those that are set aside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import GenerationFailed
from darkroom.policy.dead_letters import is_labelled, letter_attributes, read_dead_letter, redrive
from darkroom.tasks.message import MAXIMUM_QUEUED_BYTES, MOST_ATTRIBUTES, copied_attributes, first_sent_at

READ = {"runtime": "r", "sd_model_checkpoint": "m", "submission_id": "s1", "ExtendedPayloadSize": "9"}
OTHERS = {f"a{number}": "x" for number in range(10)}


@given(st.permutations([*READ, *OTHERS]), st.integers(0, 12))
def test_what_darkroom_reads_is_kept_whatever_else_there_is(names: list[str], count: int) -> None:
    everything = {**READ, **OTHERS}
    original = {name: everything[name] for name in names if name in READ or names.index(name) < count}
    copy = copied_attributes({"own": "1"}, original, "text")
    assert len(copy) == min(MOST_ATTRIBUTES, len(original) + 1)
    assert copy.items() >= {**READ, "own": "1"}.items()


def test_a_letter_always_has_its_submission_and_its_reason() -> None:
    original = {**OTHERS, "runtime": "r", "dead_letter_reason": "an older one", "dead_letter_task_id": "t0"}
    letter = letter_attributes(
        original, body="{}", submission_id="s1", error=GenerationFailed("out of\nmemory"), received=6, task_id="t1"
    )
    assert len(letter) == MOST_ATTRIBUTES
    assert is_labelled(letter)
    assert not is_labelled(original)
    read = read_dead_letter("letter", "{}", letter, 1.0)
    assert (read.submission_id, read.type, read.reason, read.tries) == ("s1", "GenerationFailed", "out of memory", 6)
    assert read.attributes["runtime"] == "r"
    assert read.task_id == "t1"


def test_a_letter_keeps_the_way_to_its_payload_and_whom_to_tell_and_a_redriven_one_has_them_again() -> None:
    identity = {"task_id": "t1", "prefix": "p", "caller": "key-1"}
    original = {**OTHERS, "first_sent_at": "5", **identity, **READ}
    letter = letter_attributes(
        original, body="{}", submission_id="s1", error=GenerationFailed("x"), received=6, task_id="t1"
    )
    assert letter.items() >= {**READ, "prefix": "p", "dead_letter_task_id": "t1"}.items()
    sent = redrive(read_dead_letter("letter", "{}", letter, 1.0), force=True)
    assert sent.attributes.items() >= {**READ, "prefix": "p", "task_id": "t1"}.items() - {("submission_id", "s1")}
    assert sent.submission_id == sent.attributes["submission_id"] != "s1"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (2000, {"dead_letter_reason", "dead_letter_received", "dead_letter_task_id", "runtime"}),
        (230, {"dead_letter_received", "dead_letter_task_id", "runtime"}),
        (110, {"runtime"}),
        (90, set()),
    ],
)
def test_a_letter_says_what_fits_beside_its_body(left: int, said: set[str]) -> None:
    body = "x" * (MAXIMUM_QUEUED_BYTES - left)
    original = {"runtime": "r", "note": "n" * 900}
    error = GenerationFailed("y" * 1000)
    letter = letter_attributes(original, body=body, submission_id="s1", error=error, received=6, task_id="t1")
    assert set(letter) == {"submission_id", "dead_letter_type", *said}
    assert len(body) + sum(len(name + value) + len("String") for name, value in letter.items()) <= MAXIMUM_QUEUED_BYTES
    assert is_labelled(letter)


def test_a_redriven_letter_stays_in_its_trace_and_its_time_in_the_queue_begins_anew() -> None:
    letter = read_dead_letter("letter", "{}", {"first_sent_at": "5", "runtime": "r"}, 9.0, trace_header="Root=1")
    sent = redrive(letter, force=True)
    assert sent.trace_header == "Root=1"
    assert set(sent.attributes) == {"submission_id", "runtime"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, 100.0),
        ({"first_sent_at": "40.5"}, 40.5),
        ({"first_sent_at": "200"}, 100.0),  # nobody sends in the future
        ({"first_sent_at": "nan"}, 100.0),
        ({"first_sent_at": "-inf"}, 100.0),
        ({"first_sent_at": "yesterday"}, 100.0),
    ],
)
def test_a_copys_time_in_the_queue_counts_from_its_original(attributes: dict[str, str], expected: float) -> None:
    assert first_sent_at(attributes, 100.0) == expected
