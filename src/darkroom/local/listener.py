"""A subscriber to the output topic, as an application would be one: a queue of its own that the topic sends to."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from darkroom.aws.connection import Aws
from darkroom.aws.errors import translated
from darkroom.aws.queue import Queue
from darkroom.tasks.notification import Notification, decode_notification


class Listener:
    """Hears every notification that is published after it was made."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def hear(self, wait_seconds: int = 1) -> list[Notification]:
        """Wait for notifications, and return up to ten of them."""
        heard = []
        for message in await self._queue.receive(maximum=10, wait_seconds=wait_seconds):
            heard.append(decode_notification(message.body))
            await self._queue.delete(message.receipt_handle)
        return heard


@asynccontextmanager
async def listening(aws: Aws, topic_arn: str) -> AsyncIterator[Listener]:
    """Subscribe to the output topic for the body of the `async with`; `aws` needs sqs and sns."""
    sqs, sns = aws.client("sqs"), aws.client("sns")
    with translated("subscribing to the output topic"):
        url = (await sqs.create_queue(QueueName=f"listener-{uuid.uuid4().hex}"))["QueueUrl"]
        queue = aws.queue(url)
        subscription = await sns.subscribe(
            TopicArn=topic_arn,
            Protocol="sqs",
            Endpoint=await queue.read_arn(),
            Attributes={"RawMessageDelivery": "true"},
            ReturnSubscriptionArn=True,
        )
    try:
        yield Listener(queue)
    finally:
        with translated("unsubscribing from the output topic"):
            await sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
            await sqs.delete_queue(QueueUrl=url)
