"""The façade over boto3 for an event loop on AWS Lambda, whose image has boto3: each call waits in a thread.

It is for what makes a few calls at a time. What runs for long, and makes many, goes by `darkroom.aws.connection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import boto3

from darkroom.aws.boto3_client import make_client
from darkroom.aws.deliveries import DeliveryTable
from darkroom.aws.queue import Queue
from darkroom.aws.secrets import Secret
from darkroom.aws.task_table import TaskTable
from darkroom.aws.webhook_switches import WebhookSwitches
from darkroom.settings import AwsSettings


class ThreadedAws:
    """What the sender of webhooks reaches. Each client is made when it is first asked for, which takes a while."""

    def __init__(self, settings: AwsSettings, session: boto3.Session | None = None) -> None:
        self._settings = settings
        self._session = session or boto3.Session()

    def queue(self, url: str) -> Queue:
        """The SQS queue at `url`."""
        return Queue(self._sqs, url)

    def task_table(self, name: str) -> TaskTable:
        """The DynamoDB table of task records of this name."""
        return TaskTable(self._dynamodb, name)

    def deliveries(self, table: str) -> DeliveryTable:
        """The deliveries of webhooks that are kept in this table."""
        return DeliveryTable(self._dynamodb, table)

    def webhook_switches(self, table: str) -> WebhookSwitches:
        """Which callers' webhooks are switched off, as this table has it."""
        return WebhookSwitches(self._dynamodb, table)

    def secret(self, arn: str) -> Secret:
        """The secret of this ARN in AWS Secrets Manager."""
        return Secret(self._client("secretsmanager"), arn)

    @cached_property
    def _sqs(self) -> Any:
        return self._client("sqs")

    @cached_property
    def _dynamodb(self) -> Any:
        return self._client("dynamodb")

    def _client(self, service: str) -> Any:
        return _Threaded(make_client(self._session, self._settings, service, read_timeout_seconds=5))


class _Threaded:
    """A boto3 client, which threads may share, whose calls can be awaited."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, name)

        async def call(**named: Any) -> Any:
            return await asyncio.to_thread(method, **named)

        return call
