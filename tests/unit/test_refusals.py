"""Every refusal stands in docs/refusals.md in its words, and nothing stands there that nobody says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.refusal_page import PAGE, Row, rows
from tests.refusal_words import Words, error_names, form_of, refusals

from darkroom import errors
from darkroom.agent import aftermath
from darkroom.inference.problems import STATUS
from darkroom.policy.diagnosis import NoCanary, Well, tell_whose_fault

SAID = refusals()
TOLD = rows()

# What is no task's end: it waits and begins anew, or somebody else is spoken to.
NOT_TOLD = {
    "AwsAway": "the task goes back to the queue",
    "AwsUnavailable": "an outage is waited out, and ends no task",
    "EndedElsewhere": "the other end is told",
    "LeaseLost": "another agent has the message",
    "MissingExtra": "whoever starts a process without its extra is told, before there are tasks",
    "SigningUnavailable": "uses up no try: the task waits for a certificate and a key that work",
    "CredentialsUnreadable": "of `darkroom provenance show`, about no task",
    "RuntimeSick": "uses up no try: the task waits for a runtime that is well",
    "RuntimeUnreachable": "uses up no try: the task waits for the runtime",
    "ShuttingDown": "the task goes back to the queue",
    "TooEarly": "the task goes back to the queue",
}
PARTS = {
    "<> of its <> layers have a place in it": "the reason in `the LoRA … does not fit`",
    "pictures cannot be signed just now; the agent's log says why": "the reason in a warning",
    "it is larger than <> MiB": "the reason in `the picture could not be signed: …`",
    "what the runtime sent": "what it is that would take the memory",
    "<> (HTTP <>)<>": "the client's, about a reply whose words are the front door's",
    "nothing answers at <>: <>": "the client's, about no task",
    "the task <> ended as <>: <>": "the client's, around the words of the end",
    "the task <> is still <> after <> s": "the client's, about a task that goes on",
    "nothing was heard of the task <> within <> s; it may have been accepted": "the client's, about such a task",
    "there was no answer within <> s": "the client's, about no task",
    "<> needs the extra <>; in Darkroom's checkout: pip install '.[<>]'": NOT_TOLD["MissingExtra"],
}
# How an end is named that is no error.
ENDS = {"CancelledByUser": {"Cancelled"}, "NotToBeRun": {"Cancelled", "Expired"}}
_WORD = re.compile(r"[A-Za-z]{2,}")


def is_told(words: Words) -> bool:
    """Whether a task's user may read these; words that are wholly another's are listed where they are made."""
    has_words = _WORD.search(re.sub(r"<[^<>]*>", "", words.text)) is not None
    return has_words and words.maker not in NOT_TOLD and words.form not in PARTS


def error_type(name: str) -> type[errors.DarkroomError] | None:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, errors.DarkroomError) else None


def test_whatever_is_said_stands_on_the_page() -> None:
    on_page = {row.form for row in TOLD}
    missing = sorted({f"{words.place}: {words.text}" for words in SAID if is_told(words) and words.form not in on_page})
    assert not missing, f"{PAGE.name} lacks: {missing}"


def test_nothing_stands_on_the_page_that_nobody_says() -> None:
    said = {words.form for words in SAID}
    assert [row.text for row in TOLD if row.form not in said] == []
    assert len(TOLD) > 200


def test_an_errors_type_stands_beside_its_words() -> None:
    typed = {(row.form, row.type) for row in TOLD if row.type}
    for words in SAID:
        runtimes_own = words.place.startswith("inference/")
        if is_told(words) and words.maker in error_names() | set(ENDS) and not runtimes_own:
            types = ENDS.get(words.maker, {words.maker})
            assert any((words.form, kind) in typed for kind in types), words


@pytest.mark.parametrize("row", [row for row in TOLD if row.type], ids=lambda row: f"{row.type}: {row.text}"[:80])
def test_whether_it_is_retryable_is_true(row: Row) -> None:
    kind = error_type(row.type)
    if kind is None:
        assert row.type in {"Cancelled", "Expired"}
        assert row.is_retryable  # nothing is wrong with the request
    else:
        assert row.is_retryable == kind.retryable


def test_the_built_in_runtimes_statuses_are_true() -> None:
    statuses = {row.form: row.status for row in TOLD if row.status}
    for words in SAID:
        kind = error_type(words.maker) if words.place.startswith("inference/") else None
        if kind is not None and is_told(words):
            assert statuses[words.form] == next(status for error, status in STATUS if issubclass(kind, error)), words
        elif words.place.startswith("inference/") and words.maker == "Fault" and is_told(words):
            assert statuses[words.form] == dict(STATUS)[errors.InvalidRequest], words


def test_what_is_not_told_exists_and_is_said() -> None:
    assert set(NOT_TOLD) <= error_names()
    assert set(PARTS) <= {words.form for words in SAID}
    for name in ("AwsUnavailable", "LeaseLost", "RuntimeSick", "RuntimeUnreachable"):
        kind = error_type(name)
        assert kind is not None
        assert kind.retryable
    assert all(getattr(aftermath, name).retryable for name in ("AwsAway", "ShuttingDown", "TooEarly"))


def test_a_suspected_request_is_refused_in_the_same_words_where_the_runtime_is_well() -> None:
    suspected = errors.RequestSuspected("the runtime failed: ValueError: no")
    refused = tell_whose_fault(suspected, Well(), ())
    assert (refused.type, str(refused)) == ("GenerationRefused", str(suspected))
    assert tell_whose_fault(suspected, NoCanary(), ()) is suspected


def test_the_forms_of_words_are_compared_without_their_variables() -> None:
    assert form_of("a <b> c<d><e>") == "a <> c<>"
    assert form_of("<lora:<name>:<weight>>: no") == form_of("<lora:<x>:<y>>: no")
    assert Path(PAGE).is_file()
