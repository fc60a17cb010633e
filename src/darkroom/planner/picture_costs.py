"""What a month of pictures costs in services, beside what is paid anyway.

It is the guide's own table, for Darkroom's own calls, and all that the guide leaves out.

How often each service is asked for one picture is what the front door and the agent really do:
`tests/integration/test_calls_per_task.py` counts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.config.sizes import LAMBDA_MEMORY_MIB
from darkroom.planner.lines import Line, line
from darkroom.planner.prices import Prices
from darkroom.planner.workload import Workload

# A call of the function, nearly all of it spent waiting for SNS and DynamoDB.
FUNCTION_SECONDS = 0.05
# What the agents, the function and API Gateway write of one task, with Kubernetes' own words beside it.
LOG_BYTES = 6_000
RECORD_BYTES = 1_500
# One call of a user's own address: the notification in JSON, with its headers.
WEBHOOK_BYTES = 2_000


@dataclass(frozen=True)
class CallsPerTask:
    """How often each service is asked, from the request to the notification, for one task with one picture.

    `queue_requests` holds the delivery from the topic as well; `table_writes`, an index's, and four for the transaction
    in which a task's end and its caller's usage are written.
    """

    topic_publishes: int = 2
    queue_requests: int = 3
    table_writes: int = 8
    table_reads: int = 1
    bucket_puts: int = 2
    bucket_gets: int = 2


CALLS_PER_TASK = CallsPerTask()


def service_costs(work: Workload, prices: Prices, config: DarkroomConfig | None = None) -> list[Line]:
    """What a month's pictures cost in every service but the GPUs' instances; with `config`, what it adds to that."""
    calls, pictures = CALLS_PER_TASK, work.pictures
    function = pictures * FUNCTION_SECONDS * LAMBDA_MEMORY_MIB / 1024
    stored = pictures * work.picture_bytes / 2**30
    # Pictures and records go through gateway endpoints, which are free; messages go through the NAT gateways.
    messages = pictures * work.request_bytes / 1e9
    logs = pictures * LOG_BYTES / 1e9
    rows = [
        ("API Gateway", pictures, "requests", "apigateway.request"),
        ("Lambda, calls", pictures, "requests", "lambda.request"),
        ("Lambda, time", function, "GiB-seconds", "lambda.gib-second"),
        ("SNS", pictures * calls.topic_publishes, "publishes", "sns.publish"),
        ("SQS", pictures * calls.queue_requests, "requests", "sqs.request"),
        ("DynamoDB, writes of records", pictures * calls.table_writes, "writes", "dynamodb.write"),
        ("DynamoDB, reads of records", pictures * calls.table_reads, "reads", "dynamodb.read"),
        ("DynamoDB, records stored", pictures * RECORD_BYTES / 2**30, "GiB", "dynamodb.gib-month"),
        ("S3, writes", pictures * calls.bucket_puts, "requests", "s3.put"),
        ("S3, reads", pictures * calls.bucket_gets, "requests", "s3.get"),
        (f"S3, stored for {_months(work.months_stored)}", stored * work.months_stored, "GiB-months", "s3.gib-month"),
        ("messages through NAT gateways", messages, "GB", "nat.gateway.gb"),
        ("logs of tasks", logs, "GB", "logs.gb"),
        ("logs of tasks, stored", logs, "GB", "logs.stored.gb-month"),
        ("X-Ray traces", pictures * work.traced, "traces", "xray.trace"),
        *_to_the_outside(work),
    ]
    signing = None if config is None else config.provenance
    if signing is not None and signing.enabled and signing.certificate and signing.kms_key_id:
        rows.append(("KMS, which signs them", pictures, "signatures", "kms.signature"))
    estimates = {"logs.gb", "logs.stored.gb-month"}
    return [line(prices, *row, is_estimate=row[3] in estimates) for row in rows]


def _to_the_outside(work: Workload) -> Iterator[tuple[str, float, str, str]]:
    """What leaves AWS, and what is told to callers' own addresses."""
    if work.downloads:
        gigabytes = work.pictures * work.downloads * work.picture_bytes / 1e9
        yield "pictures downloaded from AWS", gigabytes, "GB", "transfer.out.gb"
    if work.webhooks:
        told = work.pictures * work.webhooks
        yield "webhooks, their queue", told * CALLS_PER_TASK.queue_requests, "requests", "sqs.request"
        yield "webhooks, through NAT gateways", told * WEBHOOK_BYTES / 1e9, "GB", "nat.gateway.gb"
        yield "webhooks, out of AWS", told * WEBHOOK_BYTES / 1e9, "GB", "transfer.out.gb"


def _months(count: float) -> str:
    return "a month" if count == 1 else f"{count:g} months"
