"""The façade over boto3, for AWS Lambda: the same classes, whose coroutines never suspend.

A Lambda instance handles one request at a time, so an event loop and aiobotocore would only make its start slower. The
façade's classes await what their client returns; a boto3 client that is wrapped so that its calls can be awaited is all
they need. `run` drives such a coroutine without an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any, TypeVar, cast

import boto3
from botocore.response import StreamingBody

from darkroom.aws.boto3_client import make_client
from darkroom.aws.bucket import Bucket
from darkroom.aws.dead_letter_queues import DeadLetterQueues
from darkroom.aws.deliveries import DeliveryTable
from darkroom.aws.heartbeats import HeartbeatTable
from darkroom.aws.idempotency import IdempotencyKeys
from darkroom.aws.progress import ProgressTable
from darkroom.aws.queue import Queue
from darkroom.aws.queue_depths import QueueDepths
from darkroom.aws.task_counts import TaskCounts
from darkroom.aws.task_lists import TaskLists
from darkroom.aws.task_table import TaskTable
from darkroom.aws.topic import Topic
from darkroom.aws.usage import UsageTable
from darkroom.policy.queue_urls import QueueUrls
from darkroom.settings import AwsSettings

T = TypeVar("T")


class BlockingAws:
    """What is reached through a boto3 session. Each method makes a client, which takes a while: call it at start-up."""

    def __init__(self, settings: AwsSettings, session: boto3.Session) -> None:
        self._settings = settings
        self._session = session

    def topic(self, arn: str) -> Topic:
        """The SNS topic with this ARN."""
        return Topic(self._client("sns"), arn)

    def bucket(self, name: str) -> Bucket:
        """The S3 bucket of this name; streams cannot be written here."""
        return Bucket(self._client("s3"), name)

    def task_table(self, name: str) -> TaskTable:
        """The DynamoDB table of task records of this name."""
        return TaskTable(self._dynamodb, name)

    def task_lists(self, table: str) -> TaskLists:
        """The lists of callers' tasks, as this table has them."""
        return TaskLists(self._dynamodb, table)

    def idempotency_keys(self, table: str) -> IdempotencyKeys:
        """The idempotency keys that are kept in this table."""
        return IdempotencyKeys(self._dynamodb, table)

    def queue_depths(self, urls: Mapping[str, str]) -> QueueDepths:
        """How many tasks are in the queues with these URLs, by their runtimes' names."""
        return QueueDepths(self._client("sqs"), urls)

    def dead_letter_queues(self, urls: QueueUrls, table: str | None) -> DeadLetterQueues:
        """The dead letters of the queues with these URLs, whose client is made when somebody asks for them."""
        records = None if table is None else self.task_table(table)
        return DeadLetterQueues(lambda: self._client("sqs"), urls, records, nullcontext)

    def usage(self, table: str) -> UsageTable:
        """The callers' usage that is kept in this table."""
        return UsageTable(self._dynamodb, table)

    def task_counts(self, table: str) -> TaskCounts:
        """The counts of callers' tasks that are kept in this table."""
        return TaskCounts(self._dynamodb, table)

    def progress(self, table: str) -> ProgressTable:
        """How far tasks are, as this table has it."""
        return ProgressTable(self._dynamodb, table)

    def heartbeats(self, table: str) -> HeartbeatTable:
        """The heartbeats of agents that are kept in this table."""
        return HeartbeatTable(self._dynamodb, table)

    def deliveries(self, table: str) -> DeliveryTable:
        """The deliveries of webhooks that are kept in this table."""
        return DeliveryTable(self._dynamodb, table)

    def queue(self, url: str) -> LateQueue:
        """The SQS queue at `url`, which the front door seldom needs: its client is made then."""
        return LateQueue(lambda: Queue(self._client("sqs"), url))

    @cached_property
    def _dynamodb(self) -> Any:
        return self._client("dynamodb")

    def _client(self, service: str) -> Any:
        # API Gateway gives up after 29 s, so the caller is told before that; two tries of 8 s leave room for a third.
        return _Awaitable(make_client(self._session, self._settings, service, read_timeout_seconds=8))


class LateQueue:
    """A queue whose client is made when it is first sent to."""

    def __init__(self, make: Callable[[], Queue]) -> None:
        self._make = make

    async def send(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a message into the queue. Raises an `AwsFailure`."""
        await self._queue.send(body, attributes)

    @cached_property
    def _queue(self) -> Queue:
        return self._make()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return what it returns."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("the coroutine waits for an event loop, and there is none")


class _Awaitable:
    """A boto3 client whose calls can be awaited: they are done by then."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            reply = method(*arguments, **named)
            if isinstance(reply, dict) and isinstance(body := reply.get("Body"), StreamingBody):
                return {**reply, "Body": _AwaitableBody(body)}
            return reply

        return call


class _AwaitableBody:
    """An object's body as aiobotocore has it."""

    def __init__(self, body: StreamingBody) -> None:
        self._body = body

    async def __aenter__(self) -> _AwaitableBody:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._body.close()

    async def iter_chunks(self, chunk_size: int) -> AsyncIterator[bytes]:
        for chunk in self._body.iter_chunks(chunk_size):
            yield chunk
