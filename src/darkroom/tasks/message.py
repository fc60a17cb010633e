"""The message on the input topic, and the three wrappings in which a queue hands it over.

A queue takes it in SNS's envelope (as the guide has it) or raw; either may hold a pointer in the form of AWS's payload
offloading libraries in place of the text: `["software.amazon.payloadoffloading.PayloadS3Pointer", {...}]`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from darkroom.errors import UnreadableMessage
from darkroom.tasks.draft import Draft, FieldReader
from darkroom.tasks.json_bounds import MESSAGE_BOUNDS
from darkroom.tasks.task import Priority, Task
from darkroom.tasks.v1alpha1 import translate_content
from darkroom.tasks.v1alpha2 import read_task
from darkroom.tasks.webhook import WEBHOOK_ATTRIBUTE, WEBHOOK_WANTED, Webhook

POINTER_CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"

# Message attributes. SNS filters on the first three; the fourth follows a request through every copy and redrive of it.
RUNTIME_ATTRIBUTE = "runtime"
CHECKPOINT_ATTRIBUTE = "sd_model_checkpoint"
PRIORITY_ATTRIBUTE = "priority"
SUBMISSION_ATTRIBUTE = "submission_id"
SIZE_ATTRIBUTE = "ExtendedPayloadSize"
# Whose task it is, and where its objects lie: known without the text, which may lie elsewhere and not be readable.
# The caller is a name, or an id of its API key, never the key.
TASK_ATTRIBUTE = "task_id"
PREFIX_ATTRIBUTE = "prefix"
CALLER_ATTRIBUTE = "caller"
# When a copy's original was sent, in seconds since 1970: a task's time in the queue counts from then.
FIRST_SENT_ATTRIBUTE = "first_sent_at"
# Which copy of a message this is, counted from 1.
COPY_ATTRIBUTE = "copy_number"

MOST_ATTRIBUTES = 10  # Amazon SQS
# Amazon SNS's limit for a message: its text, and the names, types and values of its attributes.
MAXIMUM_MESSAGE_BYTES = 256 * 1024
# The same of Amazon SQS, for a queue that does not say less.
MAXIMUM_QUEUED_BYTES = 1024 * 1024
# Left free in what the front door publishes, so that its copies and its dead letter fit too where a queue takes no more
# than a topic: they say more than the message does.
ROOM_FOR_COPIES_BYTES = 2048
_ATTRIBUTE_NAME = re.compile(r"(?!\.|(?i:aws\.|amazon\.))(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_ATTRIBUTE_VALUE = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_LONGEST_SUBMISSION_ID = 256
# A name, an id of a key at API Gateway, or the beginning of a key's digest.
_OWNER = re.compile("[A-Za-z0-9][-A-Za-z0-9]{0,63}")
# What a copy keeps first: the way to the queue and the payload, who is told, and what is only good to know.
_READ_BY_DARKROOM = (
    RUNTIME_ATTRIBUTE,
    CHECKPOINT_ATTRIBUTE,
    PRIORITY_ATTRIBUTE,
    SUBMISSION_ATTRIBUTE,
    COPY_ATTRIBUTE,
    SIZE_ATTRIBUTE,
    PREFIX_ATTRIBUTE,
    TASK_ATTRIBUTE,
    CALLER_ATTRIBUTE,
    WEBHOOK_ATTRIBUTE,
    FIRST_SENT_ATTRIBUTE,
)


class PayloadPointer(msgspec.Struct, frozen=True, rename={"bucket": "s3BucketName", "key": "s3Key"}):
    """Where an offloaded message text lies."""

    bucket: str
    key: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a queue delivered it, unwrapped.

    `payload` is the text, or where it lies. `submission_id` is the same for every copy of one submission, however often
    it is delivered, so whatever is derived from it comes out the same again.
    """

    payload: str | PayloadPointer
    submission_id: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)


class _EnvelopeAttribute(msgspec.Struct, frozen=True, rename={"value": "Value"}):
    value: str


class _Envelope(
    msgspec.Struct,
    frozen=True,
    rename={"type": "Type", "message_id": "MessageId", "message": "Message", "attributes": "MessageAttributes"},
):
    type: str
    message_id: str
    message: str
    attributes: dict[str, _EnvelopeAttribute] = msgspec.field(default_factory=dict)


def encode_message(task: Task) -> str:
    """The text to publish on the input topic."""
    metadata: dict[str, Any] = {
        "id": task.id,
        "runtime": task.runtime,
        "tasktype": task.kind,
        "prefix": task.prefix,
        "context": task.context,
    }
    if task.timeout_seconds is not None:
        metadata["timeout"] = task.timeout_seconds
    if task.webhook is not None:
        metadata["webhook"] = task.webhook
    if task.deadline is not None:
        metadata["deadline"] = task.deadline
    metadata |= priority_attribute(task.priority)
    return msgspec.json.encode({"metadata": metadata, "content": task.content}).decode()


def priority_attribute(priority: Priority) -> dict[str, str]:
    """What a message says of its task's priority: nothing of a normal one, which is in the guide's form."""
    return {} if priority is Priority.NORMAL else {PRIORITY_ATTRIBUTE: priority.value}


def request_digest(task: Task) -> str:
    """What is the same for two requests that ask for the same, in whatever order and form they are written."""
    return hashlib.sha256(msgspec.json.encode(task, order="deterministic")).hexdigest()


def encode_pointer(pointer: PayloadPointer) -> str:
    """The text to publish in place of one that lies at `pointer`."""
    return msgspec.json.encode([POINTER_CLASS, pointer]).decode()


def unwrap(body: str, attributes: Mapping[str, str], sqs_message_id: str) -> Delivery:
    """Take a queue's message body out of SNS's envelope, if it has one, and see whether it was offloaded.

    `attributes` are the SQS message attributes of a raw delivery. Raises `UnreadableMessage` for an offloading pointer
    that is not in AWS's form. Any other text is returned as it is: `decode_message` judges it.
    """
    text, attributes, fallback_id = open_envelope(body, attributes, sqs_message_id)
    return Delivery(
        payload=_decode_pointer(text) if text.startswith('["software.amazon.') else text,
        submission_id=submission_id_of(attributes, fallback_id, sqs_message_id),
        attributes=attributes,
    )


def submission_id_of(*attributes_and_ids: Mapping[str, str] | str) -> str:
    """The first of these that can be a submission's id: what attributes say, or an id. The last is taken anyhow.

    It goes into attributes of other messages, which take neither every character nor any length.
    """
    for source in attributes_and_ids:
        told = source if isinstance(source, str) else source.get(SUBMISSION_ATTRIBUTE, "")
        if len(told) <= _LONGEST_SUBMISSION_ID and _ATTRIBUTE_VALUE.fullmatch(told):
            break
    return told


def open_envelope(body: str, attributes: Mapping[str, str], sqs_message_id: str) -> tuple[str, Mapping[str, str], str]:
    """Take a body out of SNS's envelope: its text, the attributes that were published with it, and SNS's id for it.

    Without an envelope these are the arguments, as they are.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body, attributes, sqs_message_id
    if envelope.type != "Notification":
        return body, attributes, sqs_message_id
    values = {name: attribute.value for name, attribute in envelope.attributes.items()}
    return envelope.message, values, envelope.message_id


def identity_attributes(task: Task, caller: str) -> dict[str, str]:
    """The attributes that say whose `task` is, for whoever cannot read its text; `caller` a name or an id of a key.

    What AWS would not take as an attribute's value is left out.
    """
    identity = {
        RUNTIME_ATTRIBUTE: task.runtime,
        TASK_ATTRIBUTE: task.id,
        PREFIX_ATTRIBUTE: task.prefix,
        CALLER_ATTRIBUTE: caller,
        WEBHOOK_ATTRIBUTE: WEBHOOK_WANTED if task.webhook is not None else "",
    }
    return {name: value for name, value in identity.items() if _is_attribute(name, value)}


def owner_of(attributes: Mapping[str, str]) -> str:
    """Whose task a message with these attributes is; "" is nobody's, as of one that was published past the front door.

    What no caller of a front door can be called (see `darkroom.policy.callers`) is nobody.
    """
    told = attributes.get(CALLER_ATTRIBUTE, "")
    return told if _OWNER.fullmatch(told) else ""


def audience_of(attributes: Mapping[str, str], webhook: Webhook | None = None) -> dict[str, str]:
    """The attributes that a task's notifications have from its message's: whose it is, and whether it names a webhook.

    A message that did not come through a front door says so in its text alone, by its `webhook`.
    """
    is_wanted = webhook is not None or attributes.get(WEBHOOK_ATTRIBUTE) == WEBHOOK_WANTED
    found = {CALLER_ATTRIBUTE: owner_of(attributes), WEBHOOK_ATTRIBUTE: WEBHOOK_WANTED if is_wanted else ""}
    return {name: value for name, value in found.items() if value}


def copied_attributes(own: Mapping[str, str], of_original: Mapping[str, str], body: str) -> dict[str, str]:
    """The attributes of a copy of a message with this `body`: `own`, and of the original's as many as SQS takes.

    Those that Darkroom reads go first, in case that a publisher has used up all ten. What came in an envelope may be
    nothing that SQS takes: such ones are left out, or the copy could not be sent.
    """
    possible = [name for name, value in of_original.items() if name not in own and _is_attribute(name, value)]
    known = [name for name in _READ_BY_DARKROOM if name in possible]
    copied = dict(own)
    for name in dict.fromkeys((*known, *possible)):
        if len(copied) < MOST_ATTRIBUTES and fits_a_queue(body, {**copied, name: of_original[name]}):
            copied[name] = of_original[name]
    return copied


def fits_a_queue(body: str, attributes: Mapping[str, str]) -> bool:
    """Whether SQS takes a message with these."""
    return _byte_count(body) + attribute_bytes(attributes) <= MAXIMUM_QUEUED_BYTES


def attribute_bytes(attributes: Mapping[str, str]) -> int:
    """What SNS counts for String attributes, with room for the size attribute of an offloaded payload."""
    room = len(SIZE_ATTRIBUTE) + len("Number") + 10
    return room + sum(
        len(name) + len("String") + len(value.encode(errors="surrogatepass")) for name, value in attributes.items()
    )


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def first_sent_at(attributes: Mapping[str, str], sent_at: float) -> float:
    """When a message was sent for the first time, of which this may be a copy that was sent at `sent_at`."""
    try:
        told = float(attributes[FIRST_SENT_ATTRIBUTE])
    except (KeyError, ValueError):
        return sent_at
    return told if 0 <= told <= sent_at else sent_at


def copy_number(attributes: Mapping[str, str]) -> int:
    """Which copy of its message one with these attributes is: 0 for the message itself."""
    told = attributes.get(COPY_ATTRIBUTE, "")
    return int(told) if re.fullmatch("[1-9][0-9]{0,8}", told) else 0


def decode_message(text: str | bytes) -> Draft:
    """Read the text of a message; what is wrong with it stands in the draft's `faults`."""
    reader = FieldReader()
    document = reader.document(text, "the message", MESSAGE_BOUNDS)
    if reader.faults:
        return Draft(paths={}, faults=tuple(reader.faults))
    draft = read_task(reader, document, at="")
    return draft if draft.content is None else msgspec.structs.replace(draft, content=translate_content(draft.content))


def _is_attribute(name: str, value: str) -> bool:
    """Whether SQS takes this as a message attribute."""
    if name == SIZE_ATTRIBUTE and not value.isascii():  # a number
        return False
    return _ATTRIBUTE_VALUE.fullmatch(value) is not None and _ATTRIBUTE_NAME.fullmatch(name) is not None


def _decode_pointer(text: str) -> PayloadPointer:
    try:
        class_name, pointer = msgspec.json.decode(text, type=tuple[str, PayloadPointer])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableMessage(f"the message is an offloading pointer that cannot be read: {error}") from None
    if class_name != POINTER_CLASS:
        raise UnreadableMessage(f"the message is an offloading pointer of the unknown class {class_name!r}")
    return pointer
