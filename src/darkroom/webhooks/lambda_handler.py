"""The sender as an AWS Lambda function: batches of messages from its queue, each message with an end of its own.

A message that is to come again later is hidden for that long and then told as failed, so that AWS Lambda leaves it in
the queue; it deletes the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.errors import AwsFailure
from darkroom.logs import configure_logs, log
from darkroom.settings import read_webhook_settings
from darkroom.webhooks.process import open_sender
from darkroom.webhooks.sender import Later, Sender
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
    runner = asyncio.Runner()
    opened = open_sender(settings)
    aws, sender = runner.run(opened.__aenter__())

    def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
        """Send one batch, and name the messages that are to come again."""
        records = msgspec.convert(event, type=_Event).records
        failed = runner.run(_send([record.message() for record in records], sender, aws.queue(settings.queue_url)))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    # What was opened must not be collected, and closed by that, while the instance lives.
    handler.__dict__["opened"] = opened
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
