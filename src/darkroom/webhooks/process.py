"""The sender's process on one machine or in a network of one's own: settings in, webhooks out, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from darkroom.aws.connection import open_aws
from darkroom.logs import configure_logs, log
from darkroom.metrics.deliveries import Deliveries, NoDeliveries
from darkroom.settings import WebhookSettings, read_webhook_settings
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.composition import open_sender
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
    services = ["sqs", "dynamodb", *(() if settings.keys_secret is None else ("secretsmanager",))]
    async with (
        _figures(settings) as figures,
        open_aws(settings.aws, *services) as aws,
        open_sender(settings, aws, clock, figures) as sender,
    ):
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
async def _figures(settings: WebhookSettings) -> AsyncIterator[Deliveries]:
    """Where the figures of deliveries go: to whoever asks at the port, if there is one."""
    if settings.metrics_port is None:
        yield NoDeliveries()
        return
    from darkroom.metrics.exposition import exposition, new_registry
    from darkroom.metrics.prometheus_deliveries import PrometheusDeliveries
    from darkroom.metrics.serving import serving

    registry = new_registry()
    figures = PrometheusDeliveries(registry)
    async with serving(lambda accept: exposition(registry, accept), settings.metrics_host, settings.metrics_port):
        yield figures
