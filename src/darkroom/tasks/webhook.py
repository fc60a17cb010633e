"""Webhooks: where somebody wants to be told of tasks, of what, and what became of each delivery."""

from __future__ import annotations

from enum import StrEnum

import msgspec

# The attribute of a notification by which the sender's queue takes it, and its one value.
WEBHOOK_ATTRIBUTE, WEBHOOK_WANTED = "webhook", "yes"
# The attribute of a message that asks the sender for one delivery once more.
DELIVERY_ATTRIBUTE = "webhook_delivery"


class WebhookEvent(StrEnum):
    """What can be told of; `running` only where agents notify it."""

    RUNNING = "task.running"
    COMPLETED = "task.completed"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    EXPIRED = "task.expired"


def event_of(status: str) -> str:
    """The event of a notification with this status, as in task.completed."""
    return f"task.{status}"


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where to tell, and of what; without `events`, of every end."""

    url: str
    events: tuple[str, ...] = ()

    def wants(self, event: str) -> bool:
        """Whether this event is to be told here."""
        return event in self.events if self.events else event != WebhookEvent.RUNNING


class CallerWebhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a caller wants to be told of each of its tasks that names no webhook of its own."""

    caller: str
    url: str
    events: tuple[str, ...] = ()


class SwitchedOff(msgspec.Struct, frozen=True):
    """A caller's webhook to which nothing is sent, `since` a time in seconds since 1970: its receiver wants no more.

    It said so to the delivery `delivery_id`.
    """

    caller: str
    url: str
    since: float
    delivery_id: str


class DeliveryStatus(StrEnum):
    """Where a delivery stands. All but the first are final, until somebody asks for it once more."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event on its way to one URL. Times are seconds since 1970 (UTC).

    `id` is the header `webhook-id` of each of its tries, and `body` what is sent in each of them. `attempts` counts
    tries; `last_status` is the receiver's last HTTP status, `last_error` why the last try failed; `next_try_at` is
    there while it is pending. `caller` owns it: "" for tasks that were published past the front door.
    """

    id: str
    caller: str
    task_id: str
    submission_id: str
    event: str
    url: str
    body: str
    status: DeliveryStatus
    created_at: float
    updated_at: float
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    next_try_at: float | None = None
