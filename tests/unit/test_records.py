"""Task records survive the way into DynamoDB's wire form and back."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec
import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from darkroom.aws.records import (
    CHANGED_UNDER,
    LISTED_UNDER,
    RETENTION_SECONDS,
    change_partitions,
    item_to_record,
    listing_partitions,
    pointer_key,
    progress_key,
    record_to_item,
    sort_key,
    submission_key,
    time_key,
    to_attribute,
)
from darkroom.tasks.notification import NotifiedError
from darkroom.tasks.record import Setback, TaskRecord
from darkroom.tasks.task import Status, TaskKind

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
times = st.floats(min_value=0, max_value=4e9)
records = st.builds(
    TaskRecord,
    id=st.text(min_size=1, max_size=64),
    submission_id=st.text(min_size=1, max_size=64),
    status=st.sampled_from(Status),
    runtime=st.text(min_size=1),
    tasktype=st.none() | st.sampled_from(TaskKind),
    output_location=st.text(),
    created_at=times,
    updated_at=times,
    image_url=st.lists(st.text(), max_size=3),
    output_url=st.none() | st.text(),
    error=st.none() | st.builds(NotifiedError, type=st.text(), message=st.text(), retryable=st.booleans()),
    context=json_values,
    cancel_requested=st.booleans(),
    caller=st.text(max_size=64),
    attempts=st.integers(0, 9),
    started_at=st.none() | times,
    device_seconds=st.none() | times,
    waits_because=st.none() | st.text(),
    setbacks=st.integers(0, 8).map(lambda most: [Setback(n, 1000.5 + n, "why", "a" * n or None) for n in range(most)]),
)


def test_of_tries_that_come_to_nothing_again_and_again_the_latest_are_kept() -> None:
    item: dict[str, Any] = {}
    for number in range(1, 30):
        record = TaskRecord(id="t", submission_id="s", status=Status.QUEUED, runtime="r")
        item |= record_to_item(
            msgspec.structs.replace(record, setbacks=[Setback(number, 1000.0 + number, f"reason {number}")])
        )
    assert [one.number for one in item_to_record(item).setbacks] == list(range(22, 30))


@given(records)
def test_a_record_comes_back_as_it_went(record: TaskRecord) -> None:
    assert item_to_record(record_to_item(record)) == record


@given(records)
def test_an_item_has_the_form_that_dynamodb_takes(record: TaskRecord) -> None:
    model = _MODELS.load_service_model("dynamodb", "service-2")
    assert model["shapes"]["AttributeValue"]["members"].keys() >= {
        kind for attribute in record_to_item(record).values() for kind in attribute
    }
    assert record_to_item(record).items() >= submission_key(record.submission_id).items()
    assert record_to_item(record)["task_id"] == {"S": record.id}


_MODELS = Session().get_component("data_loader")


def test_a_record_expires_fourteen_days_after_its_last_change() -> None:
    record = TaskRecord(
        id="a", submission_id="b", status=Status.QUEUED, runtime="r", created_at=1000.5, updated_at=2000.5
    )
    assert record_to_item(record)["expires_at"] == {"N": str(2000 + RETENTION_SECONDS)}


def test_attributes_that_no_record_has_are_ignored() -> None:
    record = TaskRecord(id="a", submission_id="b", status=Status.QUEUED, runtime="r")
    item = record_to_item(record) | {"tags": {"SS": ["x"]}, "owner": {"S": "somebody"}}
    assert item_to_record(item) == record


@pytest.mark.parametrize(
    ("value", "number"), [(1e-7, "0.0000001"), (3, "3"), (-0.5, "-0.5"), (1763825268.123, "1763825268.123")]
)
def test_numbers_are_written_plainly(value: float, number: str) -> None:
    assert to_attribute(value) == {"N": number}


def test_what_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError, match="a bytes is not a JSON value"):
        to_attribute(b"")


def test_300_tasks_a_second_of_one_caller_heat_no_partition() -> None:
    """DynamoDB lets a partition take 1,000 writes a second, of the table and of an index."""
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(30_000)]  # of 100 seconds
    items = [
        record_to_item(TaskRecord(id=id_, submission_id=id_, caller="shop", status=Status.QUEUED, runtime="r"))
        for id_ in ids
    ]
    # A task's record, pointer and progress have partition keys of their own.
    assert len({item["id"]["S"] for item in items}) == len(ids)
    assert len({pointer_key(id_, "shop")["id"]["S"] for id_ in ids}) == len(ids)
    assert len({progress_key(id_)["id"]["S"] for id_ in ids}) == len(ids)
    for attribute, partitions in (
        (LISTED_UNDER, listing_partitions("shop")),
        (CHANGED_UNDER, change_partitions("shop")),
    ):
        spread = Counter(item[attribute]["S"] for item in items)
        assert spread.keys() == set(partitions)
        # One write to the index `listing` for each task; to `changes`, two for each of some four changes and progress.
        assert max(spread.values()) / 100 < 300 / 4 * 1.05


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256), st.floats(0, 9e9))
def test_a_sort_key_is_one_that_dynamodb_takes(submission_id: str, at: float) -> None:
    assert len(sort_key(at, submission_id).encode()) <= 1024


@given(st.floats(0, 9.9e9), st.floats(0, 9.9e9))
def test_sort_keys_are_in_the_order_of_time(one: float, other: float) -> None:
    if round(one * 1000) < round(other * 1000):
        assert sort_key(one, "z") < time_key(other) < sort_key(other, "a")
