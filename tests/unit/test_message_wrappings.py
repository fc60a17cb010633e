"""A message in SNS's envelope, raw, and offloaded: one delivery either way."""

from __future__ import annotations

import json

import pytest

from darkroom.errors import UnreadableMessage
from darkroom.tasks.message import PayloadPointer, encode_pointer, unwrap

TEXT = '{"metadata": {}, "content": {}}'
POINTER = PayloadPointer("bucket", "darkroom-payloads/x")


def envelope(message: str, **attributes: str) -> str:
    values = {name: {"Type": "String", "Value": value} for name, value in attributes.items()}
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "sns-1",
            "TopicArn": "arn:aws:sns:us-east-1:1:t",
            "Message": message,
            "MessageAttributes": values,
        }
    )


def test_an_envelope_is_taken_off_and_its_id_follows_every_copy() -> None:
    first = unwrap(envelope(TEXT, runtime="r"), {}, "sqs-1")
    again = unwrap(envelope(TEXT, runtime="r"), {}, "sqs-2")
    assert first == again
    assert (first.payload, first.submission_id, first.attributes) == (TEXT, "sns-1", {"runtime": "r"})


def test_a_raw_message_has_the_queues_id_unless_it_brings_one() -> None:
    assert unwrap(TEXT, {}, "sqs-1").submission_id == "sqs-1"
    assert unwrap(TEXT, {"submission_id": "mine"}, "sqs-1").submission_id == "mine"
    assert unwrap(envelope(TEXT, submission_id="mine"), {}, "sqs-1").submission_id == "mine"


def test_an_envelope_without_attributes_is_one_too() -> None:
    body = json.dumps({"Type": "Notification", "MessageId": "sns-1", "Message": TEXT})
    assert unwrap(body, {}, "sqs-1").payload == TEXT


@pytest.mark.parametrize("body", [encode_pointer(POINTER), envelope(encode_pointer(POINTER))])
def test_a_pointer_is_read_in_awss_own_form(body: str) -> None:
    assert json.loads(encode_pointer(POINTER)) == [
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": "bucket", "s3Key": "darkroom-payloads/x"},
    ]
    assert unwrap(body, {}, "sqs-1").payload == POINTER


@pytest.mark.parametrize(
    "text",
    [
        '["software.amazon.payloadoffloading.PayloadS3Pointer", {}]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer"]',
        '["software.amazon.other.Pointer", {"s3BucketName": "b", "s3Key": "k"}]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b"',
    ],
)
def test_a_pointer_in_another_form_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableMessage, match="pointer"):
        unwrap(text, {}, "sqs-1")


@pytest.mark.parametrize("body", ["", "hello", "[]", '{"Type": "Notification"}', '{"Type": "Other", "Message": 1}'])
def test_anything_else_is_handed_on_to_be_judged(body: str) -> None:
    assert unwrap(body, {}, "sqs-1").payload == body
