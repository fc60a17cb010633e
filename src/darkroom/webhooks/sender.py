"""One message of the sender's queue: whom it tells, what is sent, and what becomes of it.

    notification ─► record ─► whose webhook ─► a place ─► sign, send ─► write down ─► done, or later

Everything that is known of a delivery stands in its item: how often it was tried, and what came of it. So it does not
matter which sender takes the message next, and a notification that comes twice is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import msgspec

from darkroom.aws.deliveries import DeliveryTable
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsFailure, DarkroomError, SettingsError, UnreadableMessage, WebhookFailed
from darkroom.logs import log
from darkroom.metrics.deliveries import Deliveries, Tried
from darkroom.policy.dead_letters import letter_attributes
from darkroom.policy.outcomes import outage_seconds
from darkroom.policy.webhook_tries import (
    Answered,
    Delivered,
    GiveUp,
    NotAnswered,
    TryAgain,
    Verdict,
    judge,
    out_of_time,
    turn_seconds,
)
from darkroom.policy.webhook_urls import receiver_of, web_address
from darkroom.tasks.message import SUBMISSION_ATTRIBUTE, unwrap
from darkroom.tasks.notification import NOTIFICATION_ATTRIBUTE, decode_notification
from darkroom.tasks.webhook import (
    DELIVERY_ATTRIBUTE,
    DeliveryStatus,
    WebhookDelivery,
    event_of,
)
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.endpoints import Endpoints
from darkroom.webhooks.outcomes import Done, Later
from darkroom.webhooks.payload import delivery_id, payload_of
from darkroom.webhooks.posting import Posting
from darkroom.webhooks.receivers import Receivers
from darkroom.webhooks.signatures import SigningKeys, secrets_of, signed_headers

# A task that was published past the front door has its record from its agent, which may come after its notification.
_RECORD_PATIENCE_SECONDS = 120.0
_RECORD_SECONDS = 5.0
_UNEXPECTED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000


class KeySource(Protocol):
    """Where the key lies that webhooks are signed with."""

    async def read(self) -> SigningKeys:
        """The key as it is now. Raises `SettingsError` or an `AwsFailure`."""
        ...


class Sender:
    """Tells webhooks. `endpoints` are the webhooks of callers, for tasks that name none."""

    def __init__(
        self,
        *,
        records: TaskTable,
        deliveries: DeliveryTable,
        dead_letters: Queue,
        posting: Posting,
        receivers: Receivers,
        keys: KeySource,
        endpoints: Endpoints,
        clock: Clock,
        figures: Deliveries,
    ) -> None:
        self._records = records
        self._deliveries = deliveries
        self._dead_letters = dead_letters
        self._posting = posting
        self._receivers = receivers
        self._keys = keys
        self._endpoints = endpoints
        self._clock = clock
        self._figures = figures
        # For whom messages have waited in vain, so that they can do so again without a look into the table.
        self._waiting: dict[str, tuple[str, str]] = {}

    async def handle(self, message: ReceivedMessage) -> Done | Later:
        """Do what a message asks for; nothing is raised."""
        try:
            return await self._handle(message)
        except AwsFailure as error:
            log(logging.WARNING, "webhook.aws_failed", str(error), message_id=message.message_id)
            return Later(outage_seconds(message.received, self._clock.chance()))
        except SettingsError as error:
            log(logging.ERROR, "webhook.no_key", str(error), message_id=message.message_id)
            return Later(_UNEXPECTED_SECONDS)
        except Exception as error:  # one message must not take the others with it
            log(logging.ERROR, "webhook.broken", type(error).__name__, message_id=message.message_id, exc_info=True)
            return Later(_UNEXPECTED_SECONDS)

    async def _handle(self, message: ReceivedMessage) -> Done | Later:
        age = self._clock.now() - message.sent_at
        whose = self._waiting.pop(message.message_id, None)
        if whose is not None and not out_of_time(age) and not self._receivers.has_place(*whose):
            self._waiting[message.message_id] = whose
            return self._turn(message, *whose)
        try:
            found = await self._delivery(message)
        except UnreadableMessage as error:
            await self._bury(message, {}, error)
            return Done()
        except _NoRecordYet as error:
            if age < _RECORD_PATIENCE_SECONDS:
                return Later(_RECORD_SECONDS)
            await self._bury(message, {}, error)
            return Done()
        if found is None:
            return Done()
        return await self._deliver(found, message, age)

    def _turn(self, message: ReceivedMessage, receiver: str, caller: str) -> Later:
        is_slow = self._receivers.is_slow(receiver, caller)
        return Later(turn_seconds(message.received - 1, self._clock.chance(), is_slow=is_slow))

    async def _delivery(self, message: ReceivedMessage) -> WebhookDelivery | None:
        """The delivery that the message is for; None where nobody is to be told, or has been."""
        asked = message.attributes.get(DELIVERY_ATTRIBUTE)
        if asked is not None:
            known = await self._deliveries.get(asked)
            if known is None:
                raise UnreadableMessage(f"there is no delivery {asked[:100]!r}; they are kept for 14 days")
            return known
        delivery = unwrap(message.body, message.attributes, message.message_id)
        try:
            notification = decode_notification(delivery.payload if isinstance(delivery.payload, str) else "")
            submission_id = delivery.attributes[SUBMISSION_ATTRIBUTE]
            id_ = delivery_id(delivery.attributes[NOTIFICATION_ATTRIBUTE])
        except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError) as error:
            raise UnreadableMessage(f"the message is no notification of a task: {type(error).__name__}") from None
        record, known = await asyncio.gather(self._records.get_submission(submission_id), self._deliveries.get(id_))
        if known is not None:
            return known if known.status is DeliveryStatus.PENDING else None
        if record is None:
            raise _NoRecordYet(f"there is no record of the submission {submission_id}")
        webhook, event = self._endpoints.of(record), event_of(notification.status.value)
        if webhook is None or not webhook.wants(event):
            return None
        return WebhookDelivery(
            id=id_,
            caller=record.caller,
            task_id=record.id,
            submission_id=submission_id,
            event=event,
            url=webhook.url,
            body=payload_of(notification, message.sent_at),
            status=DeliveryStatus.PENDING,
            created_at=message.sent_at,
            updated_at=message.sent_at,
        )

    async def _deliver(self, delivery: WebhookDelivery, message: ReceivedMessage, age: float) -> Done | Later:
        if DELIVERY_ATTRIBUTE not in message.attributes:  # whoever asks for one means to try
            reason = await self._endpoints.why_off(delivery.caller, delivery.url)
            if reason is not None:
                return await self._end(delivery, message, GiveUp(reason, is_gone=True))
        receiver = _receiver(delivery.url)
        with self._receivers.place(receiver, delivery.caller) as has_place:
            if has_place:
                return await self._try(delivery, receiver, message, age)
        if not out_of_time(age):
            self._waiting[message.message_id] = (receiver, delivery.caller)
            while len(self._waiting) > _MOST_REMEMBERED:
                self._waiting.pop(next(iter(self._waiting)))
            return self._turn(message, receiver, delivery.caller)
        reason = delivery.last_error or "the receiver was too slow with others before it"
        return await self._end(delivery, message, GiveUp(reason))

    async def _try(
        self, delivery: WebhookDelivery, receiver: str, message: ReceivedMessage, age: float
    ) -> Done | Later:
        keys = await self._keys.read()
        now = self._clock.now()
        secrets = secrets_of(keys, delivery.caller, now)
        headers = signed_headers(delivery.id, delivery.body, secrets, now)
        begun = self._clock.monotonic()
        answer = await self._posting.post(delivery.url, delivery.body, headers)
        tries = delivery.attempts + 1
        verdict = judge(answer, tries=tries, age_seconds=age, chance=self._clock.chance())
        self._receivers.answered(
            receiver,
            delivery.caller,
            is_slow=isinstance(answer, NotAnswered) and answer.is_slow,
            is_down=isinstance(answer, NotAnswered) or answer.status >= 500,
            rest_seconds=verdict.rest_seconds if isinstance(verdict, TryAgain) else 0.0,
        )
        self._figures.tried(_came_out(verdict), self._clock.monotonic() - begun)
        tried = msgspec.structs.replace(
            delivery, attempts=tries, last_status=answer.status if isinstance(answer, Answered) else None
        )
        # First: should writing fail, the message comes again.
        await self._endpoints.ended(tried, verdict, now)
        return await self._end(tried, message, verdict)

    async def _end(self, delivery: WebhookDelivery, message: ReceivedMessage, verdict: Verdict) -> Done | Later:
        """Write down where the delivery stands now."""
        now = self._clock.now()
        fields = {
            "delivery_id": delivery.id,
            "task_id": delivery.task_id,
            "submission_id": delivery.submission_id,
            "event": delivery.event,
            "caller": delivery.caller,
            "attempts": delivery.attempts,
            # Of its address the host alone: paths hold keys, too.
            "receiver": _receiver(delivery.url),
            "status": delivery.last_status,
        }
        match verdict:
            case Delivered():
                await self._deliveries.put(
                    _changed(delivery, now, status=DeliveryStatus.DELIVERED, last_error=None, next_try_at=None)
                )
                log(
                    logging.INFO, "webhook.delivered", delivery.event, **fields, seconds=round(now - message.sent_at, 3)
                )
                return Done()
            case TryAgain(delay_seconds=delay, reason=reason):
                await self._deliveries.put(
                    _changed(delivery, now, status=DeliveryStatus.PENDING, last_error=reason, next_try_at=now + delay)
                )
                log(logging.WARNING, "webhook.retrying", reason, **fields, delay_seconds=round(delay, 1))
                return Later(delay)
            case GiveUp(reason=reason, is_gone=is_gone):
                status = DeliveryStatus.GONE if is_gone else DeliveryStatus.FAILED
                if not is_gone:
                    await self._bury(message, {DELIVERY_ATTRIBUTE: delivery.id}, WebhookFailed(reason))
                await self._deliveries.put(_changed(delivery, now, status=status, last_error=reason, next_try_at=None))
                log(logging.ERROR, f"webhook.{status.value}", reason, **fields)
                return Done()

    async def _bury(self, message: ReceivedMessage, own: Mapping[str, str], error: DarkroomError) -> None:
        """Set the message aside. Put back into its queue by whatever means, it asks for its delivery once more."""
        attributes = letter_attributes(
            {**message.attributes, **own},
            body=message.body,
            submission_id=message.attributes.get(SUBMISSION_ATTRIBUTE, message.message_id),
            error=error,
            received=message.received,
            task_id=None,
        )
        await self._dead_letters.send(message.body, attributes)
        log(logging.ERROR, "webhook.dead_lettered", str(error), message_id=message.message_id)


class _NoRecordYet(DarkroomError):
    """The task has no record, or not yet."""


def _came_out(verdict: Verdict) -> Tried:
    match verdict:
        case Delivered():
            return Tried.DELIVERED
        case TryAgain():
            return Tried.AGAIN
        case GiveUp(is_gone=is_gone):
            return Tried.GONE if is_gone else Tried.GIVEN_UP


def _receiver(url: str) -> str:
    link = web_address(url)
    return "-" if link is None else receiver_of(link)


def _changed(
    delivery: WebhookDelivery,
    now: float,
    *,
    status: DeliveryStatus,
    last_error: str | None,
    next_try_at: float | None,
) -> WebhookDelivery:
    return msgspec.structs.replace(
        delivery, status=status, updated_at=now, last_error=last_error, next_try_at=next_try_at
    )
