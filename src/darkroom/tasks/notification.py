"""What a user is told about a task on the output topic, in the guide's callback format and a little beyond it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from darkroom.errors import DarkroomError
from darkroom.tasks.message import SUBMISSION_ATTRIBUTE
from darkroom.tasks.task import JsonObject, Status

# The message attribute that is the same whenever a task's end is told.
NOTIFICATION_ATTRIBUTE = "notification_id"
_NOBODY: Mapping[str, str] = MappingProxyType({})
_MOST_WARNINGS = 16
_LONGEST_WARNING = 500


class NotifiedError(msgspec.Struct, frozen=True):
    """Why a task has no pictures. `retryable`: whether sending the same request again may help."""

    type: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: DarkroomError) -> NotifiedError:
        """The same facts that `error` carries."""
        return cls(type=error.type, message=str(error), retryable=error.retryable)


class Credentials(StrEnum):
    """Where a picture's Content Credentials (C2PA) are."""

    EMBEDDED = "embedded"
    SIDECAR = "sidecar"
    NONE = "none"


class PictureProvenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one picture carries that says how it came to be.

    `credentials` vouch for it by a signature; `sidecar_url` is where they are if not in the picture itself.
    `digital_source_type` is IPTC's word for it, as it stands in the picture's XMP.
    """

    credentials: Credentials
    digital_source_type: str | None = None
    sidecar_url: str | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One notification; its JSON has the guide's field names.

    `result` is unset while the task runs; `error` is set when it failed. `image_url` and `output_url` are s3:// URLs.
    `image_url_omitted` is how many pictures there are where their URLs did not fit; `context_omitted` says that the
    context did not (see `darkroom.policy.telling`).
    `warnings` say what of the request was done in another way than was asked for, in a task that completed.
    `provenance` says of each picture, in their order, what it carries; where one carries nothing, it is None.
    """

    id: str
    status: Status
    runtime: str
    result: bool | msgspec.UnsetType = msgspec.UNSET
    image_url: list[str] | msgspec.UnsetType = msgspec.UNSET
    output_url: str | msgspec.UnsetType = msgspec.UNSET
    context: Any = msgspec.UNSET
    error: NotifiedError | msgspec.UnsetType = msgspec.UNSET
    image_url_omitted: int | msgspec.UnsetType = msgspec.UNSET
    context_omitted: bool | msgspec.UnsetType = msgspec.UNSET
    provenance: list[PictureProvenance | None] | msgspec.UnsetType = msgspec.UNSET
    warnings: tuple[str, ...] = ()


def bounded_warnings(warnings: Iterable[str]) -> tuple[str, ...]:
    """Of what a runtime had to say, as much as a notification has room for."""
    kept = [text if len(text) <= _LONGEST_WARNING else f"{text[:_LONGEST_WARNING]}…" for text in warnings]
    if len(kept) > _MOST_WARNINGS:
        kept[_MOST_WARNINGS - 1 :] = [
            f"and {len(kept) - _MOST_WARNINGS + 1} more warnings; the agent's log has them all"
        ]
    return tuple(kept)


def encode_notification(notification: Notification) -> str:
    """The text to publish on the output topic."""
    return msgspec.json.encode(notification).decode()


def decode_notification(text: str | bytes) -> Notification:
    """Read a notification. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(text, type=Notification)


class RecordedEnd(msgspec.Struct, frozen=True):
    """The part of an `.out` object that says how a task ended.

    `submission_id` says whose end it is; those that were written before there was this field have none.
    """

    notification: Notification
    submission_id: str | None = None


def encode_end(response: JsonObject, end: RecordedEnd) -> bytes:
    """The text of an `.out` object: the runtime's full return, and how the task ended."""
    return msgspec.json.encode({**response, **msgspec.structs.asdict(end)})


def decode_end(document: bytes) -> RecordedEnd | None:
    """Read an `.out` object; None where it holds something else."""
    try:
        return msgspec.json.decode(document, type=RecordedEnd)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def notification_attributes(
    notification: Notification, submission_id: str, audience: Mapping[str, str] = _NOBODY
) -> dict[str, str]:
    """The message attributes by which a subscriber filters and deduplicates.

    `audience` are those that say for whom it is (`darkroom.tasks.message.audience_of`).

    `notification_id` is derived from the submission: a task that is done or notified twice has one terminal id.
    """
    phase = "end" if notification.status.is_terminal else notification.status.value
    digest = hashlib.sha256(f"{submission_id}/{phase}".encode()).hexdigest()
    attributes = {
        **audience,
        SUBMISSION_ATTRIBUTE: submission_id,
        "runtime": notification.runtime,
        "status": notification.status.value,
        NOTIFICATION_ATTRIBUTE: digest[:32],
    }
    if notification.result is not msgspec.UNSET:
        attributes["result"] = "true" if notification.result else "false"
    return attributes
