"""The sender's process on one machine or in a network of one's own: settings in, webhooks out, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from darkroom.aws.connection import Aws, open_aws
from darkroom.logs import configure_logs, log
from darkroom.policy.webhook_callers import decode_caller_webhooks
from darkroom.settings import WebhookSettings, read_webhook_settings
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.keys import KeyFile, KeySecret
from darkroom.webhooks.posting import Posting
from darkroom.webhooks.receivers import Receivers
from darkroom.webhooks.sender import KeySource, Sender
from darkroom.webhooks.worker import Worker

_GRACE_SECONDS = 3.0


def run_webhooks(environment: Mapping[str, str]) -> None:
    """Send until it is told to stop by SIGTERM or SIGINT. Raises `SettingsError` before it starts anything."""
    settings = read_webhook_settings(environment)
    configure_logs(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: WebhookSettings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    clock = Clock()
    async with open_sender(settings, clock) as (aws, sender):
        worker = Worker(aws.queue(settings.queue_url), sender, clock)
        log(logging.INFO, "webhook.started", "sends webhooks")
        working = asyncio.create_task(worker.run())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if working.done():
            await working  # it only ends by itself through a fault
        working.cancel()
        await worker.stop(_GRACE_SECONDS)
    log(logging.INFO, "webhook.stopped", "nothing is sent any more")


@asynccontextmanager
async def open_sender(settings: WebhookSettings, clock: Clock | None = None) -> AsyncIterator[tuple[Aws, Sender]]:
    """Compose a sender from its settings, and close at the end what was opened for it. Raises `SettingsError`."""
    clock = clock or Clock()
    callers = decode_caller_webhooks(settings.callers)
    services = ("sqs", "dynamodb") if settings.keys_secret is None else ("sqs", "dynamodb", "secretsmanager")
    async with open_aws(settings.aws, *services) as aws:
        posting = Posting(now=clock.now, allow_private=settings.allow_private)
        try:
            yield (
                aws,
                Sender(
                    records=aws.task_table(settings.task_table),
                    deliveries=aws.deliveries(settings.task_table),
                    dead_letters=aws.queue(settings.dead_letter_queue_url),
                    posting=posting,
                    receivers=Receivers(clock.monotonic),
                    keys=_keys(settings, aws, clock),
                    callers=callers,
                    clock=clock,
                ),
            )
        finally:
            await posting.close()


def _keys(settings: WebhookSettings, aws: Aws, clock: Clock) -> KeySource:
    if settings.keys_secret is not None:
        return KeySecret(aws.secret(settings.keys_secret), clock.monotonic)
    return KeyFile(Path(settings.keys_file or ""))
