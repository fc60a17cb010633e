"""The connection to AWS, or to whatever endpoint the settings name, and what is reached through it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.loaders import Loader, create_loader

from darkroom.aws.bucket import Bucket
from darkroom.aws.changes import Changes
from darkroom.aws.dead_letter_queues import DeadLetterQueues
from darkroom.aws.deliveries import DeliveryTable
from darkroom.aws.heartbeats import HeartbeatTable
from darkroom.aws.idempotency import IdempotencyKeys
from darkroom.aws.progress import ProgressTable
from darkroom.aws.queue import Queue
from darkroom.aws.queue_depths import QueueDepths
from darkroom.aws.s3_options import s3_options
from darkroom.aws.secrets import Secret
from darkroom.aws.task_counts import TaskCounts
from darkroom.aws.task_lists import TaskLists
from darkroom.aws.task_table import TaskTable
from darkroom.aws.tls import SharingHttpSession
from darkroom.aws.together import Positions, Questions
from darkroom.aws.topic import Topic
from darkroom.aws.usage import UsageTable
from darkroom.aws.user_agent import USER_AGENT
from darkroom.aws.webhook_switches import WebhookSwitches
from darkroom.policy.queue_urls import QueueUrls
from darkroom.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

_MAXIMUM_CONNECTIONS = 50


class Aws:
    """Open clients for the services that a process uses. `service` names are AWS's: sqs, sns, s3, dynamodb."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self._clients = clients

    def queue(self, url: str) -> Queue:
        """Return the SQS queue at `url`."""
        client: SQSClient = self._clients["sqs"]
        return Queue(client, url)

    async def queue_of_arn(self, arn: str) -> Queue:
        """Return the SQS queue that an ARN names."""
        client: SQSClient = self._clients["sqs"]
        return await Queue.of_arn(client, arn)

    def topic(self, arn: str) -> Topic:
        """Return the SNS topic with this ARN."""
        client: SNSClient = self._clients["sns"]
        return Topic(client, arn)

    def bucket(self, name: str) -> Bucket:
        """Return the S3 bucket of this name."""
        client: S3Client = self._clients["s3"]
        return Bucket(client, name)

    def task_table(self, name: str) -> TaskTable:
        """Return the DynamoDB table of task records of this name."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return TaskTable(client, name)

    def task_lists(self, table: str) -> TaskLists:
        """Return the lists of callers' tasks, as this table has them."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return TaskLists(client, table, _all_at_once)

    def idempotency_keys(self, table: str) -> IdempotencyKeys:
        """Return the idempotency keys that are kept in this table."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return IdempotencyKeys(client, table)

    def queue_depths(self, urls: Mapping[str, str]) -> QueueDepths:
        """Return how many tasks are in the queues with these URLs, by their runtimes' names."""
        client: SQSClient = self._clients["sqs"]
        return QueueDepths(client, urls)

    def dead_letter_queues(self, urls: QueueUrls, table: str | None) -> DeadLetterQueues:
        """Return the dead letters of the queues with these URLs; the records of what is redriven are in `table`."""
        client: SQSClient = self._clients["sqs"]
        records = None if table is None else self.task_table(table)
        return DeadLetterQueues(lambda: client, urls, records, asyncio.Lock)

    def changes(self, table: str) -> Changes:
        """Return what has changed of callers' tasks, as this table has it."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return Changes(client, table, _all_at_once)

    def task_counts(self, table: str) -> TaskCounts:
        """Return the counts of callers' tasks that are kept in this table."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return TaskCounts(client, table)

    def progress(self, table: str) -> ProgressTable:
        """Return how far tasks are, as this table has it."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return ProgressTable(client, table)

    def heartbeats(self, table: str) -> HeartbeatTable:
        """Return the heartbeats of agents that are kept in this table."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return HeartbeatTable(client, table)

    def usage(self, table: str) -> UsageTable:
        """Return the callers' usage that is kept in this table."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return UsageTable(client, table)

    def deliveries(self, table: str) -> DeliveryTable:
        """Return the deliveries of webhooks that are kept in this table."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return DeliveryTable(client, table, _all_at_once)

    def webhook_switches(self, table: str) -> WebhookSwitches:
        """Return which callers' webhooks are switched off, as this table has it."""
        client: DynamoDBClient = self._clients["dynamodb"]
        return WebhookSwitches(client, table)

    def secret(self, arn: str) -> Secret:
        """Return the secret of this ARN in AWS Secrets Manager."""
        return Secret(self._clients["secretsmanager"], arn)

    def client(self, service: str) -> Any:
        """Return the bare client, for provisioning, which uses what no other part of Darkroom needs."""
        return self._clients[service]


@asynccontextmanager
async def open_aws(
    settings: AwsSettings,
    *services: str,
    session: AioSession | None = None,
    trace_header: Callable[[], str | None] | None = None,
    trusts_calls: bool = False,
) -> AsyncIterator[Aws]:
    """Open clients for `services`, and close them at the end.

    Retries of single calls are the library's (standard mode: jittered, on throttling and passing faults); what a
    failure means for a task is decided by `darkroom.policy.outcomes`. What `trace_header` returns goes with every
    message that is published, so that its subscribers continue the trace. Who `trusts_calls` makes the same few very
    often: that they are well-formed is left to AWS to check, which refuses them as the library would.
    """
    if not services:
        yield Aws({})
        return
    config = AioConfig(
        retries={"mode": "standard", "max_attempts": settings.tries},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=_MAXIMUM_CONNECTIONS,
        tcp_keepalive=True,
        user_agent=USER_AGENT,
        parameter_validation=not trusts_calls,
        http_session_cls=SharingHttpSession,
    )
    # An object without a name would be the bucket, which S3 has another answer for: that is checked here always.
    s3_config = config.merge(AioConfig(**s3_options(settings), parameter_validation=True))
    if session is None:
        session = AioSession()
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    async with AsyncExitStack() as stack:
        clients = {}
        for service in services:
            created: Any = session.create_client(
                service,  # type: ignore[call-overload]  # the stubs know the services as literals only
                region_name=settings.region,
                endpoint_url=settings.endpoint_url,
                config=s3_config if service == "s3" else config,
            )
            clients[service] = await stack.enter_async_context(created)
        if trace_header is not None and "sns" in clients:
            clients["sns"].meta.events.register("before-call.sns.Publish", _sends(trace_header))
        yield Aws(clients)


@functools.cache
def _loader(data_path: str | None) -> Loader:
    """What reads the files that describe AWS's services, and remembers them: one for all sessions of a process."""
    return create_loader(data_path)


def _sends(trace_header: Callable[[], str | None]) -> Callable[..., None]:
    """Add the header by which SNS knows the trace that a message belongs to."""

    def add(params: dict[str, Any], **_: object) -> None:
        header = trace_header()
        if header is not None:
            params["headers"]["X-Amzn-Trace-Id"] = header

    return add


async def _all_at_once(questions: Questions) -> list[Positions]:
    return await asyncio.gather(*questions)
