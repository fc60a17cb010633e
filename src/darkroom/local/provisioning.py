"""Makes the task plane's topics, queues, bucket and table at the emulator, exactly as AWS will have them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from darkroom.aws.bucket import NEVER_PUBLIC
from darkroom.aws.connection import Aws
from darkroom.aws.errors import translated
from darkroom.config.task_plane import QueuePlan, SubscribedQueuePlan, TaskPlane, TopicPlan

SERVICES = ("sqs", "sns", "s3", "dynamodb")


@dataclass(frozen=True)
class ProvisionedQueue:
    """A runtime's queue, the one for its dead letters, and that of its tasks of low priority if it has one, by URL."""

    runtime: str
    url: str
    dead_letter_url: str
    low_url: str | None = None


@dataclass(frozen=True)
class ProvisionedWebhooks:
    """The queue of the sender of webhooks, and the one for its dead letters, by URL."""

    url: str
    dead_letter_url: str


@dataclass(frozen=True)
class ProvisionedPlane:
    """The task plane as it stands."""

    input_topic_arn: str
    output_topic_arn: str
    bucket: str
    table: str
    queues: tuple[ProvisionedQueue, ...]
    webhooks: ProvisionedWebhooks


async def provision(plane: TaskPlane, aws: Aws) -> ProvisionedPlane:
    """Make everything that `plane` describes, side by side. Raises an `AwsFailure`."""
    # S3 takes no capitals in a bucket's name; CloudFormation, too, makes its physical names small.
    bucket = plane.bucket.name.lower()
    (input_topic, queues), (output_topic, webhooks), _, _ = await asyncio.gather(
        _make_input(plane, aws), _make_output(plane, aws), _make_bucket(plane, aws, bucket), _make_table(plane, aws)
    )
    return ProvisionedPlane(input_topic, output_topic, bucket, plane.table.name, queues, webhooks)


async def _make_input(plane: TaskPlane, aws: Aws) -> tuple[str, tuple[ProvisionedQueue, ...]]:
    topic = await _make_topic(plane.input_topic, aws)
    return topic, tuple(await asyncio.gather(*(_make_runtimes_queue(queue, aws, topic) for queue in plane.queues)))


async def _make_output(plane: TaskPlane, aws: Aws) -> tuple[str, ProvisionedWebhooks]:
    topic = await _make_topic(plane.output_topic, aws)
    return topic, ProvisionedWebhooks(*await _make_queue(plane.webhooks, aws, topic))


async def _make_topic(plan: TopicPlan, aws: Aws) -> str:
    sns = aws.client("sns")
    with translated(f"creating the topic {plan.name}"):
        arn: str = (await sns.create_topic(Name=plan.name, Attributes=plan.attributes()))["TopicArn"]
        await sns.set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(plan.policy(arn))
        )
    return arn


async def _make_bucket(plane: TaskPlane, aws: Aws, name: str) -> None:
    s3 = aws.client("s3")
    with translated("creating the output bucket"):
        await s3.create_bucket(Bucket=name)
        await s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=NEVER_PUBLIC)
        await s3.put_bucket_lifecycle_configuration(
            Bucket=name,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "payloads",
                        "Status": "Enabled",
                        "Filter": {"Prefix": plane.bucket.payload_prefix},
                        "Expiration": {"Days": plane.bucket.payload_expiry_days},
                    },
                    {
                        "ID": "incomplete-uploads",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "AbortIncompleteMultipartUpload": {
                            "DaysAfterInitiation": plane.bucket.incomplete_upload_expiry_days
                        },
                    },
                ]
            },
        )
        await s3.put_bucket_cors(
            Bucket=name,
            CORSConfiguration={
                "CORSRules": [
                    {
                        "ID": "pages",
                        "AllowedOrigins": list(plane.bucket.page_origins),
                        "AllowedMethods": list(plane.bucket.page_methods),
                        "AllowedHeaders": list(plane.bucket.page_headers),
                        "MaxAgeSeconds": plane.bucket.page_seconds,
                    }
                ]
            },
        )


async def _make_table(plane: TaskPlane, aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    with translated("creating the table of task records"):
        await dynamodb.create_table(
            TableName=plane.table.name,
            KeySchema=[{"AttributeName": plane.table.partition_key, "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in plane.table.key_attributes()
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": index.name,
                    "KeySchema": [
                        {"AttributeName": index.partition_key, "KeyType": "HASH"},
                        {"AttributeName": index.sort_key, "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
                for index in plane.table.indices
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        await dynamodb.update_time_to_live(
            TableName=plane.table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": plane.table.expiry_attribute},
        )


async def _make_runtimes_queue(plan: QueuePlan, aws: Aws, topic_arn: str) -> ProvisionedQueue:
    url, dead_letter_url = await _make_queue(plan, aws, topic_arn)
    # Its dead letters are the same, and making what is there already changes nothing.
    low_url = None if plan.low is None else (await _make_queue(plan.low, aws, topic_arn))[0]
    return ProvisionedQueue(plan.runtime, url, dead_letter_url, low_url)


async def _make_queue(plan: SubscribedQueuePlan, aws: Aws, topic_arn: str) -> tuple[str, str]:
    """Make a queue that is subscribed to the topic; return its URL, and that of the queue for its dead letters."""
    sqs, sns = aws.client("sqs"), aws.client("sns")
    with translated(f"creating the queue {plan.name}"):
        dead_letter_url = (
            await sqs.create_queue(QueueName=plan.dead_letter_name, Attributes=plan.dead_letter_attributes())
        )["QueueUrl"]
        dead_letter_arn = await aws.queue(dead_letter_url).read_arn()
        await _set_policy(sqs, dead_letter_url, plan.dead_letter_policy(dead_letter_arn))
        url = (await sqs.create_queue(QueueName=plan.name, Attributes=plan.attributes(dead_letter_arn)))["QueueUrl"]
        arn = await aws.queue(url).read_arn()
        await _set_policy(sqs, url, plan.policy(arn, topic_arn))
        await sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes=plan.subscription_attributes())
    return url, dead_letter_url


async def _set_policy(sqs: Any, url: str, policy: dict[str, Any]) -> None:
    await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
