"""A retry joins what its first try began; a request that is made on purpose begins its own."""

from __future__ import annotations

import pytest

from darkroom.openai.client_headers import ClientHeaders, read_client_headers
from darkroom.openai.joining import JOIN_SECONDS, Begin, Join, join_or_begin
from darkroom.tasks.notification import NotifiedError
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

NOW = 1_800_000_000.0
ID = "img-1"


def record(status: Status, age: float = 5.0, submission: str = "first", retryable: bool = False) -> TaskRecord:
    error = NotifiedError("X", "x", retryable) if status is Status.FAILED else None
    return TaskRecord(id=ID, submission_id=submission, status=status, runtime="sd", created_at=NOW - age, error=error)


def decide(latest: TaskRecord | None, retries: int, caller: str = "shop") -> Join | Begin:
    return join_or_begin(ID, caller, latest, retries=retries, now=NOW, patience_seconds=25.0)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED])
def test_a_retry_joins(status: Status) -> None:
    assert decide(latest := record(status), 1) == Join(latest)


def test_a_retry_joins_what_failed_for_good_and_tries_again_what_may_succeed() -> None:
    assert decide(latest := record(Status.FAILED), 1) == Join(latest)
    assert isinstance(decide(record(Status.FAILED, retryable=True), 1), Begin)


def test_what_ended_long_ago_is_nobodys_retry_and_what_waits_for_long_still_is() -> None:
    assert isinstance(decide(record(Status.COMPLETED, JOIN_SECONDS + 1), 2), Begin)
    assert decide(latest := record(Status.QUEUED, 10 * JOIN_SECONDS), 2) == Join(latest)


def test_all_retries_that_find_nothing_begin_the_same_submission() -> None:
    assert decide(None, 1) == decide(None, 2)
    assert decide(None, 1) != decide(None, 1, "lab")
    failed = record(Status.FAILED, retryable=True)
    assert decide(failed, 1) == decide(failed, 2) != decide(None, 1)
    assert join_or_begin("img-2", "shop", None, retries=1, now=NOW, patience_seconds=25) != decide(None, 1)


@pytest.mark.parametrize("latest", [None, record(Status.QUEUED), record(Status.COMPLETED), record(Status.RUNNING, 24)])
def test_the_same_request_made_twice_is_two_tasks(latest: TaskRecord | None) -> None:
    assert decide(latest, 0) == Begin()


def test_who_asks_again_after_not_yet_waits_on() -> None:
    assert decide(latest := record(Status.RUNNING, 26), 0) == Join(latest)
    assert decide(record(Status.COMPLETED, 26), 0) == Begin()


def test_a_first_try_that_its_retry_overtook_joins_it() -> None:
    again = decide(None, 1)
    assert isinstance(again, Begin)
    begun = record(Status.RUNNING, submission=str(again.submission_id))
    assert decide(begun, 0) == Join(begun)
    assert decide(record(Status.COMPLETED, submission=str(again.submission_id)), 0) == Begin()


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({}, ClientHeaders(0, None)),
        ({"x-stainless-retry-count": "2", "x-stainless-read-timeout": "600"}, ClientHeaders(2, 600.0)),
        ({"x-stainless-retry-count": "-1", "x-stainless-read-timeout": "NaN"}, ClientHeaders(0, None)),
        ({"x-stainless-retry-count": "²", "x-stainless-read-timeout": "inf"}, ClientHeaders(0, None)),
        ({"x-stainless-retry-count": "9" * 5000, "x-stainless-read-timeout": "0"}, ClientHeaders(0, None)),
    ],
)
def test_what_makes_no_sense_in_a_header_was_not_said(headers: dict[str, str], read: ClientHeaders) -> None:
    assert read_client_headers(headers) == read
