"""What a dead letter is, what is sent when it is redriven, and what may be shown of it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import InvalidRequest, UnreadableMessage
from darkroom.policy.dead_letters import DeadLetter, read_dead_letter, redrive, select
from darkroom.policy.display import displayed
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer, unwrap
from darkroom.tasks.task import Task, TaskKind

TEXT = encode_message(Task(id="t1", runtime="r", kind=TaskKind.TEXT_TO_IMAGE, prefix="p", content={"prompt": "A dog"}))
DIED = {"dead_letter_type": "GenerationFailed", "dead_letter_reason": "out of memory", "dead_letter_received": "5"}


def enveloped(text: str, **attributes: str) -> str:
    values = {name: {"Type": "String", "Value": value} for name, value in attributes.items()}
    return json.dumps({"Type": "Notification", "MessageId": "sns-1", "Message": text, "MessageAttributes": values})


def letter_of(body: str = TEXT, attributes: dict[str, str] | None = None, message_id: str = "letter-1") -> DeadLetter:
    return read_dead_letter(message_id, body, DIED if attributes is None else attributes, 1000.0)


def test_a_letter_says_why_it_is_one_and_what_it_was() -> None:
    letter = letter_of(TEXT, {"submission_id": "s1", "runtime": "r", **DIED})
    assert (letter.task_id, letter.submission_id, letter.type) == ("t1", "s1", "GenerationFailed")
    assert (letter.reason, letter.tries, letter.unreadable) == ("out of memory", 5, None)
    assert letter.attributes == {"submission_id": "s1", "runtime": "r"}


def test_a_letter_that_sqs_moved_says_so() -> None:
    letter = letter_of(TEXT, {})
    assert (letter.type, letter.tries) == ("MovedBySqs", None)


def test_a_redriven_letter_is_a_new_submission_and_the_same_letter_always_the_same_one() -> None:
    letter = letter_of(TEXT, {"submission_id": "s1", "runtime": "r", **DIED})
    sent = redrive(letter)
    assert sent.submission_id not in ("s1", letter.id)
    assert redrive(letter) == sent
    assert redrive(letter_of(message_id="letter-2")).submission_id != sent.submission_id
    delivery = unwrap(sent.body, sent.attributes, "sqs-9")
    assert (delivery.payload, delivery.submission_id) == (TEXT, sent.submission_id)
    assert delivery.attributes["runtime"] == "r"


def test_the_envelope_is_taken_off_because_its_attributes_would_win() -> None:
    letter = letter_of(enveloped(TEXT, submission_id="s1", runtime="r", mine="x"))
    assert (letter.submission_id, letter.type) == ("s1", "GenerationFailed")
    sent = redrive(letter)
    delivery = unwrap(sent.body, sent.attributes, "sqs-9")
    assert (delivery.payload, delivery.submission_id) == (TEXT, sent.submission_id)
    assert sent.attributes == {"submission_id": sent.submission_id, "runtime": "r", "mine": "x"}


@pytest.mark.parametrize("wrap", [lambda text: text, enveloped], ids=["raw", "enveloped"])
def test_an_offloaded_letter_keeps_pointing_at_its_payload(wrap: object) -> None:
    pointer = PayloadPointer("b", "darkroom-payloads/x")
    letter = letter_of(wrap(encode_pointer(pointer)), {**DIED, "dead_letter_task_id": "t1"})  # type: ignore[operator]
    assert (letter.unreadable, letter.task_id) == (None, "t1")
    sent = redrive(letter)
    assert unwrap(sent.body, sent.attributes, "sqs-9").payload == pointer


@pytest.mark.parametrize(
    "body",
    ["not json", "{}", "[]", '["software.amazon.payloadoffloading.PayloadS3Pointer", {}]', enveloped("not json")],
)
def test_what_is_no_task_is_refused_unless_forced(body: str) -> None:
    letter = letter_of(body)
    assert letter.unreadable
    with pytest.raises(UnreadableMessage, match="--force"):
        redrive(letter)
    assert redrive(letter, force=True).body in (body, "not json")


def test_what_the_agent_could_not_read_is_refused_though_it_looks_like_a_task() -> None:
    letter = letter_of(TEXT, {"dead_letter_type": "UnreadableMessage", "dead_letter_reason": "does not do that"})
    assert letter.unreadable == "does not do that"
    with pytest.raises(UnreadableMessage):
        redrive(letter)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=10))
def test_a_redrive_has_no_more_attributes_than_sqs_takes_and_always_its_id(attributes: dict[str, str]) -> None:
    sent = redrive(letter_of(TEXT, attributes))
    assert len(sent.attributes) <= 10
    assert sent.attributes["submission_id"] == sent.submission_id


def test_the_attributes_that_darkroom_reads_survive_a_crowd() -> None:
    crowd = {f"a{number}": "x" for number in range(9)}
    assert redrive(letter_of(enveloped(TEXT, **crowd, runtime="r"))).attributes["runtime"] == "r"


def test_letters_are_chosen_by_the_beginning_of_their_id_or_by_their_task() -> None:
    letters = [letter_of(message_id=name) for name in ("abcd-1", "abcd-2", "efgh-1")]
    assert [letter.id for letter in select(letters, ["efgh"])] == ["efgh-1"]
    assert len(select(letters, ["t1", "abcd-1"])) == 3
    with pytest.raises(InvalidRequest, match=r"abcd: is the beginning .*; efg: there is no such"):
        select(letters, ["abcd", "efg", "abcd-1"])


SECRETS = {
    "init_images": ["https://user:hunter2@example.org/cat.png?X-Amz-Signature=f00d&X-Amz-Security-Token=beef"],
    "api_key": "k3y",
    "nested": {"Authorization": "Bearer abc", "db.password": "hunter3"},
    "prompt": "tokens and keys",
    "steps": 4,
}


def test_a_body_is_shown_without_secrets() -> None:
    shown = displayed(json.dumps(SECRETS), 10_000)
    for secret in ("hunter2", "f00d", "beef", "k3y", "abc", "hunter3"):
        assert secret not in shown
    for harmless in ("https://example.org/cat.png", "tokens and keys", '"steps": 4', "api_key"):
        assert harmless in shown


def test_a_long_body_is_cut_and_says_how_long_it_was() -> None:
    shown = displayed(json.dumps({"init_images": ["A" * 4_000_000], "prompt": "p"}), 4000)
    assert "(4000000 characters)" in shown
    assert '"prompt": "p"' in shown
    assert len(shown) < 1000
    assert displayed("x" * 500, 100).endswith("... (400 more characters)")


def test_what_is_not_json_is_shown_too() -> None:
    assert displayed("see http://a.example/b?key=1 there", 100) == "see http://a.example/b?(hidden) there"


@pytest.mark.parametrize("unit", ["a.", "x://", "a://b", "http://h/?", '{"a":', "://u@"])
def test_a_body_of_256_kib_that_is_no_json_is_shown_at_once(unit: str) -> None:
    """Not in minutes, as when every part of it is looked at from each of its beginnings."""
    text = unit * (256 * 1024 // len(unit))
    began = time.process_time()
    assert len(displayed(text, 4000)) < 4100
    assert time.process_time() - began < 10
