"""What the front door answers about deliveries of webhooks."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from darkroom.tasks.webhook import DeliveryStatus, WebhookDelivery


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event on its way to one URL. Times are UTC.

    `id` is what the receiver finds in the header `webhook-id`. `attempts` counts tries; `last_status` is the receiver's
    last HTTP status, `last_error` why the last try failed, and `next_try_at` when the next one is due.
    Operators are told whose it is.
    """

    id: str
    task_id: str
    event: str
    url: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    updated_at: datetime
    next_try_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    caller: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, delivery: WebhookDelivery, *, for_operator: bool = False) -> DeliveryView:
        """What its caller may see of `delivery`; an operator also sees whose it is."""
        due = delivery.next_try_at
        return cls(
            id=delivery.id,
            task_id=delivery.task_id,
            event=delivery.event,
            url=delivery.url,
            status=delivery.status,
            attempts=delivery.attempts,
            created_at=datetime.fromtimestamp(delivery.created_at, UTC),
            updated_at=datetime.fromtimestamp(delivery.updated_at, UTC),
            next_try_at=None if due is None else datetime.fromtimestamp(due, UTC),
            last_status=delivery.last_status,
            last_error=delivery.last_error,
            caller=delivery.caller if for_operator else msgspec.UNSET,
        )


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Deliveries, the newest first. Where there may be more, `next` asks for them; a page may be empty before that."""

    deliveries: list[DeliveryView]
    next: str | None = None
