"""What is told of a task fits where it is told, whatever was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from darkroom.api.exchange import HttpRequest
from darkroom.api.service import Service, Submission
from darkroom.aws.records import record_to_item
from darkroom.errors import GenerationFailed
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.object_keys import TaskObjects
from darkroom.policy.telling import (
    LONGEST_MODEL_NAME,
    LONGEST_REASON,
    after_tries,
    ended_without_pictures,
    fitted,
    record_of,
    shortened,
    told_error,
)
from darkroom.tasks.message import decode_message
from darkroom.tasks.notification import Notification, decode_notification, encode_notification, notification_attributes
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

SNS_BYTES = 262_144
DYNAMODB_BYTES = 400_000
BUCKET = "b" * 63
# Cut from 63 characters by the configuration; the agent takes any name.
RUNTIME = "r" * 63
SERVICE = Service(Catalogue([RuntimeSpec(name=RUNTIME, type="sdwebui")]), BUCKET)

# One byte, escaped in JSON, two, three and four bytes.
_CHARACTERS = ("a", '"', "\\", "é", "語", "🐈")
_ids = st.builds(lambda character, count: character * count, st.sampled_from(_CHARACTERS), st.integers(1, 64))
_prefixes = st.builds(lambda character, count: character * count, st.sampled_from(_CHARACTERS), st.integers(1, 512))
# Control characters, which JSON writes with six, are no less than what the door counts.
_contexts = st.builds(
    lambda character, count: {character: character * count},
    st.sampled_from((*_CHARACTERS, "\x00", "\x1f")),
    st.integers(0, 65_520),
)
_errors = st.builds(
    lambda character, count: character * count, st.sampled_from((*_CHARACTERS, "\x00")), st.integers(0, 100_000)
)


def accepted(task_id: str, prefix: str, context: Any) -> Submission:
    metadata = {"id": task_id, "runtime": RUNTIME, "tasktype": "text-to-image", "prefix": prefix, "context": context}
    body = msgspec.json.encode({"task": {"metadata": metadata, "content": {"prompt": "A dog"}}})
    plan = SERVICE.plan(
        HttpRequest(method="POST", path="/v1alpha2", content_type="application/json", body=body), "f" * 32, 1000.0
    )
    assume(isinstance(plan, Submission))
    assert isinstance(plan, Submission)
    return plan


def published_bytes(told: Notification, submission_id: str) -> int:
    """As SNS counts."""
    attributes = notification_attributes(told, submission_id)
    counted = sum(len(name.encode()) + len(b"String") + len(value.encode()) for name, value in attributes.items())
    return len(encode_notification(told).encode()) + counted


def item_bytes(attribute: Mapping[str, Any]) -> int:
    """As DynamoDB counts."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return 21
        case "L":
            return 3 + sum(1 + item_bytes(element) for element in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + item_bytes(element) for name, element in value.items())
    return 1


def as_large_as_can_be(record: TaskRecord) -> TaskRecord:
    """The record with everything that an agent adds."""
    return msgspec.structs.replace(
        record,
        caller="c" * 64,
        request_digest="f" * 64,
        deadline=253_402_300_799.0,
        started_at=2000.123,
        ended_at=2000.123,
        attempts=1000,
        model=shortened("\U0001f600" * 1000, LONGEST_MODEL_NAME),
        agent="a" * 255,
        device_seconds=3600.123,
        waits_because=shortened(after_tries(1000, "\U0001f600" * 10_000), LONGEST_REASON),
        next_try_at=2000.123,
    )


def test_how_often_a_task_was_tried_is_said_as_people_say_it() -> None:
    said = [after_tries(tries, "x") for tries in (1, 2, 3)]
    assert said == ["tried once: x", "tried twice: x", "tried 3 times: x"]
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdef", 5) == "abcd…"


def record_bytes(record: TaskRecord) -> int:
    return sum(len(name.encode()) + item_bytes(value) for name, value in record_to_item(record).items())


@settings(suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(_ids, _prefixes, _contexts, st.sampled_from((0, 1, 100, 360, 1000, 5000)))
def test_the_pictures_of_any_task_that_the_door_lets_in_can_be_told(
    task_id: str, prefix: str, context: Any, pictures: int
) -> None:
    plan = accepted(task_id, prefix, context)
    draft = decode_message(plan.text if plan.payload is None else plan.payload.body)
    names = TaskObjects.named(task_id, str(draft.prefix), plan.record.submission_id, BUCKET)
    urls = [names.url(names.picture_key(number, "safetensors")) for number in range(1, pictures + 1)]
    end = Notification(
        id=task_id,
        status=Status.COMPLETED,
        runtime=RUNTIME,
        result=True,
        image_url=urls,
        output_url=names.url(names.output_key),
        context=draft.context,
    )
    told = fitted(end, names.submission_id)
    assert published_bytes(told, names.submission_id) <= SNS_BYTES
    record = as_large_as_can_be(record_of(told, names, caller="shop", submitted_at=1000.5, now=2000.123))
    # The record keeps the context that the front door wrote, which is the same one.
    assert record_bytes(record) <= DYNAMODB_BYTES
    assert decode_notification(encode_notification(told)) == told
    assert fitted(told, names.submission_id) == told
    assert (told.context, told.context_omitted) == (context, msgspec.UNSET)
    assert told.output_url == end.output_url
    if told.image_url_omitted:
        assert (told.image_url, told.image_url_omitted) == ([], pictures)
        assert published_bytes(end, names.submission_id) > SNS_BYTES
    else:
        assert told == end
    assert record.image_url_omitted == (told.image_url_omitted or 0)


@settings(suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(_ids, _prefixes, _contexts, _errors)
def test_the_failure_of_any_task_that_the_door_lets_in_can_be_told_whole(
    task_id: str, prefix: str, context: Any, reason: str
) -> None:
    plan = accepted(task_id, prefix, context)
    names = TaskObjects.named(task_id, prefix.rstrip("/"), plan.record.submission_id, BUCKET)
    error = told_error(GenerationFailed(reason))
    end = ended_without_pictures(task_id, Status.FAILED, RUNTIME, context, error)
    end = msgspec.structs.replace(end, output_url=names.url(names.output_key))
    assert fitted(end, names.submission_id) == end
    assert published_bytes(end, names.submission_id) <= SNS_BYTES
    record = record_of(end, names, caller="shop", submitted_at=1000.5, now=2000.123)
    assert record_bytes(as_large_as_can_be(record)) <= DYNAMODB_BYTES


@given(_errors, st.integers(0, 400_000), st.sampled_from((*_CHARACTERS, "\x00")), st.integers(0, 5000))
@settings(deadline=None)
def test_what_no_door_has_checked_can_be_told_too(reason: str, size: int, character: str, pictures: int) -> None:
    end = ended_without_pictures(
        character * size, Status.FAILED, RUNTIME, character * size, told_error(GenerationFailed(reason))
    )
    end = msgspec.structs.replace(end, image_url=[f"s3://{BUCKET}/{'x' * 1000}"] * pictures)
    told = fitted(end, "f" * 32)
    assert published_bytes(told, "f" * 32) <= SNS_BYTES
    assert told.context_omitted or told.context == end.context
