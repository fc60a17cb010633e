"""What stands behind the front door, from its settings: the same for both doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.api.ports import Ports
from darkroom.policy.queue_urls import decode_queue_urls
from darkroom.settings import FrontDoorSettings

if TYPE_CHECKING:
    from darkroom.aws.blocking import BlockingAws
    from darkroom.aws.connection import Aws


def ports_of(aws: Aws | BlockingAws, settings: FrontDoorSettings) -> Ports:
    """Everything that the front door asks of AWS, as far as this deployment has it. Raises `SettingsError`."""
    topic, bucket, table = aws.topic(settings.topic_arn), aws.bucket(settings.bucket), settings.task_table
    urls = decode_queue_urls(settings.queues)
    depths = aws.queue_depths(urls.normal) if urls.normal else None
    letters = aws.dead_letter_queues(urls, table) if urls.normal else None
    webhooks = None if settings.webhook_queue_url is None else aws.queue(settings.webhook_queue_url)
    if table is None:
        return Ports(topic, bucket, depths=depths, dead_letters=letters, webhook_queue=webhooks)
    return Ports(
        topic,
        bucket,
        records=aws.task_table(table),
        counts=aws.task_counts(table),
        keys=aws.idempotency_keys(table),
        lists=aws.task_lists(table),
        usage=aws.usage(table),
        progress=aws.progress(table),
        heartbeats=aws.heartbeats(table),
        depths=depths,
        dead_letters=letters,
        deliveries=aws.deliveries(table),
        webhook_queue=webhooks,
    )
