"""The sender as an AWS Lambda function: batches of messages from its queue, each message with an end of its own.

A message that is to come again later is hidden for that long and then told as failed, so that AWS Lambda leaves it in
the queue; it deletes the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.aws.threaded import ThreadedAws
from darkroom.errors import AwsFailure
from darkroom.logs import configure_logs, log
from darkroom.metrics.deliveries import EmbeddedDeliveries
from darkroom.settings import read_webhook_settings
from darkroom.webhooks.composition import open_sender
from darkroom.webhooks.outcomes import Later
from darkroom.webhooks.sender import Sender
from darkroom.webhooks.worker import hide

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


class _Attribute(msgspec.Struct, frozen=True):
    value: str | None = msgspec.field(default=None, name="stringValue")


class SqsRecord(
    msgspec.Struct,
    frozen=True,
    rename={"message_id": "messageId", "receipt_handle": "receiptHandle", "own": "messageAttributes"},
):
    """One message, as AWS Lambda hands it over."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: dict[str, str] = {}
    own: dict[str, _Attribute] = {}

    def message(self) -> ReceivedMessage:
        """The same, as it is received elsewhere."""
        return ReceivedMessage(
            body=self.body,
            message_id=self.message_id,
            receipt_handle=self.receipt_handle,
            received=int(self.attributes.get("ApproximateReceiveCount", 1)),
            sent_at=int(self.attributes.get("SentTimestamp", 0)) / 1000,
            attributes={name: told.value for name, told in self.own.items() if told.value is not None},
        )


class _Event(msgspec.Struct, frozen=True, rename={"records": "Records"}):
    records: list[SqsRecord]


def compose(environment: Mapping[str, str]) -> Handler:
    """Make the handler, whose clients live as long as its instance. Raises `SettingsError`."""
    settings = read_webhook_settings(environment)
    configure_logs(settings.log_level)
    namespace = settings.metrics_namespace
    figures = None if namespace is None else EmbeddedDeliveries(namespace, time.time)
    aws = ThreadedAws(settings.aws)
    runner, opened = asyncio.Runner(), AsyncExitStack()
    sender = runner.run(opened.enter_async_context(open_sender(settings, aws, figures=figures)))

    def handler(event: dict[str, Any], context: object, _held: AsyncExitStack = opened) -> dict[str, Any]:
        """Send one batch, and name the messages that are to come again."""
        records = msgspec.convert(event, type=_Event).records
        failed = runner.run(_send([record.message() for record in records], sender, aws.queue(settings.queue_url)))
        if figures is not None:
            figures.tell()
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    return handler


async def _send(messages: list[ReceivedMessage], sender: Sender, queue: Queue) -> list[str]:
    ends = await asyncio.gather(*(_sent(message, sender, queue) for message in messages))
    return [message.message_id for message, is_done in zip(messages, ends, strict=True) if not is_done]


async def _sent(message: ReceivedMessage, sender: Sender, queue: Queue) -> bool:
    outcome = await sender.handle(message)
    if not isinstance(outcome, Later):
        return True
    try:
        await hide(queue, message, outcome.seconds)
    except AwsFailure as error:  # it is visible again after its queue's timeout
        log(logging.WARNING, "webhook.aws_failed", str(error), message_id=message.message_id)
    return False
