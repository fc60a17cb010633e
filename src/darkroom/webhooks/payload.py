"""What a webhook is told: the notification in the form of Standard Webhooks, as small as that asks for.

`data` has the fields of the notification on the output topic. What makes it too large is left out, as on the topic
(`darkroom.policy.telling`), and fields say so: the record and the `.out` object have all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from darkroom.tasks.notification import Notification
from darkroom.tasks.webhook import event_of

# Standard Webhooks asks for less than 20 kB.
MAXIMUM_BYTES = 20_000
_LONGEST_ERROR = 1000


class _Payload(msgspec.Struct, frozen=True):
    type: str
    timestamp: datetime
    data: Notification


def delivery_id(notification_id: str) -> str:
    """The id of the delivery of a notification: the same one, however often the notification comes."""
    return f"msg_{notification_id}"


def payload_of(notification: Notification, at: float) -> str:
    """The text to send. `at`: when it was notified, in seconds since 1970."""
    when = datetime.fromtimestamp(int(at), UTC)
    text = b""
    for told in _ever_smaller(notification):
        text = msgspec.json.encode(_Payload(event_of(notification.status.value), when, told))
        if len(text) < MAXIMUM_BYTES:
            break
    return text.decode()


def _ever_smaller(notification: Notification) -> Iterator[Notification]:
    yield notification
    if notification.image_url:
        count = len(notification.image_url)
        notification = msgspec.structs.replace(
            notification, image_url=[], image_url_omitted=count, provenance=msgspec.UNSET
        )
        yield notification
    if notification.context not in (msgspec.UNSET, {}, ""):
        notification = msgspec.structs.replace(notification, context={}, context_omitted=True)
        yield notification
    if notification.error and len(notification.error.message) > _LONGEST_ERROR:
        short = msgspec.structs.replace(notification.error, message=f"{notification.error.message[:_LONGEST_ERROR]} …")
        notification = msgspec.structs.replace(notification, error=short)
        yield notification
    yield msgspec.structs.replace(notification, warnings=())
