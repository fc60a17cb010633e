"""Puts a sender together, from its settings and a connection to AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from darkroom.aws.deliveries import DeliveryTable
from darkroom.aws.queue import Queue
from darkroom.aws.secrets import Secret
from darkroom.aws.task_table import TaskTable
from darkroom.aws.webhook_switches import WebhookSwitches
from darkroom.metrics.deliveries import Deliveries, NoDeliveries
from darkroom.policy.webhook_callers import decode_caller_webhooks
from darkroom.settings import WebhookSettings
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.endpoints import Endpoints
from darkroom.webhooks.keys import KeyFile, KeySecret
from darkroom.webhooks.posting import Posting
from darkroom.webhooks.receivers import Receivers
from darkroom.webhooks.sender import KeySource, Sender


class SenderAws(Protocol):
    """What a sender asks of AWS; `darkroom.aws` has two implementations."""

    def queue(self, url: str) -> Queue:
        """The SQS queue at `url`."""
        ...

    def task_table(self, name: str) -> TaskTable:
        """The table of task records."""
        ...

    def deliveries(self, table: str) -> DeliveryTable:
        """The deliveries that are kept in that table."""
        ...

    def webhook_switches(self, table: str) -> WebhookSwitches:
        """Which callers' webhooks are switched off."""
        ...

    def secret(self, arn: str) -> Secret:
        """A secret."""
        ...


@asynccontextmanager
async def open_sender(
    settings: WebhookSettings, aws: SenderAws, clock: Clock | None = None, figures: Deliveries | None = None
) -> AsyncIterator[Sender]:
    """Compose a sender, and close at the end what was opened for it. Raises `SettingsError`."""
    clock = clock or Clock()
    callers = decode_caller_webhooks(settings.callers)
    posting = Posting(now=clock.now, allow_private=settings.allow_private)
    try:
        yield Sender(
            records=aws.task_table(settings.task_table),
            deliveries=aws.deliveries(settings.task_table),
            dead_letters=aws.queue(settings.dead_letter_queue_url),
            posting=posting,
            receivers=Receivers(clock.monotonic),
            keys=_keys(settings, aws, clock),
            endpoints=Endpoints(callers, aws.webhook_switches(settings.task_table), clock),
            clock=clock,
            figures=figures or NoDeliveries(),
        )
    finally:
        await posting.close()


def _keys(settings: WebhookSettings, aws: SenderAws, clock: Clock) -> KeySource:
    if settings.keys_secret is not None:
        return KeySecret(aws.secret(settings.keys_secret), clock.monotonic)
    return KeyFile(Path(settings.keys_file or ""))
