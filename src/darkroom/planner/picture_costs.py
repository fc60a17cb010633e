"""What a month of pictures costs in services, beside what is paid anyway.

It is the guide's own table, for Darkroom's own calls, and all that the guide leaves out.

How often each service is asked for one picture is what the front door and the agent really do:
`tests/integration/test_calls_per_task.py` counts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.config.sizes import LAMBDA_MEMORY_MIB, SENDER_MEMORY_MIB
from darkroom.metrics.deliveries import METRICS
from darkroom.planner.lines import Line, line
from darkroom.planner.prices import Prices
from darkroom.planner.workload import Workload

# A call of the function, nearly all of it spent waiting for SNS and DynamoDB.
FUNCTION_SECONDS = 0.05
# How often an agent writes how far a task is, or looks whether it was cancelled, which costs less.
PROGRESS_SECONDS = 2.0
UPLOADS_KEPT_MONTHS = 0.5
# What the agents, the function and API Gateway write of one task, with Kubernetes' own words beside it.
LOG_BYTES = 6_000
RECORD_BYTES = 1_500
# A key is written down when its request comes, and when it is answered.
WRITES_OF_A_KEY = 2
# A question reads where the task is, and the task.
READS_OF_A_LOOKUP = 2
# The sender reads the task and what it has sent before; it writes what came of it, and its place in the index of lists.
READS_OF_A_WEBHOOK, WRITES_OF_A_WEBHOOK, SENDER_SECONDS = 2, 2, 0.3
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
    requests = pictures * (1 + work.uploads + work.lookups)
    function = requests * FUNCTION_SECONDS * LAMBDA_MEMORY_MIB / 1024
    writes = calls.table_writes + work.keyed * WRITES_OF_A_KEY + work.seconds // PROGRESS_SECONDS
    reads = calls.table_reads + work.lookups * READS_OF_A_LOOKUP
    records = pictures * RECORD_BYTES / 2**30
    stored = pictures * work.picture_bytes / 2**30
    # Pictures and records go through gateway endpoints, which are free; messages go through the NAT gateways.
    messages = pictures * work.request_bytes / 1e9
    logs = pictures * LOG_BYTES / 1e9
    rows = [
        ("API Gateway", requests, "requests", "apigateway.request"),
        ("Lambda, calls", requests, "requests", "lambda.request"),
        ("Lambda, time", function, "GiB-seconds", "lambda.gib-second"),
        ("SNS", pictures * calls.topic_publishes, "publishes", "sns.publish"),
        ("SQS", pictures * calls.queue_requests, "requests", "sqs.request"),
        ("DynamoDB, writes of records", pictures * writes, "writes", "dynamodb.write"),
        ("DynamoDB, reads of records", pictures * reads, "reads", "dynamodb.read"),
        ("DynamoDB, records stored", records, "GiB", "dynamodb.gib-month"),
        ("DynamoDB, records for recovery", records, "GiB", "dynamodb.recovery.gib-month"),
        ("S3, writes", pictures * (calls.bucket_puts + work.uploads), "requests", "s3.put"),
        ("S3, reads", pictures * (calls.bucket_gets + work.uploads), "requests", "s3.get"),
        (f"S3, stored for {_months(work.months_stored)}", stored * work.months_stored, "GiB-months", "s3.gib-month"),
        ("messages through NAT gateways", messages, "GB", "nat.gateway.gb"),
        ("logs of tasks", logs, "GB", "logs.gb"),
        ("logs of tasks, stored", logs, "GB", "logs.stored.gb-month"),
        ("X-Ray traces", pictures * work.traced, "traces", "xray.trace"),
        *_uploaded(work),
        *_to_the_outside(work),
    ]
    if work.webhooks and (config is None or config.cluster.agent_metrics):
        rows.append(("webhooks, their metrics", len(METRICS), "metrics", "cloudwatch.metric.month"))
    signing = None if config is None else config.provenance
    if signing is not None and signing.enabled and signing.certificate and signing.kms_key_id:
        rows.append(("KMS, which signs them", pictures, "signatures", "kms.signature"))
    estimates = {"logs.gb", "logs.stored.gb-month", "cloudwatch.metric.month"}
    return [line(prices, *row, is_estimate=row[3] in estimates) for row in rows]


def _uploaded(work: Workload) -> Iterator[tuple[str, float, str, str]]:
    """Pictures that callers send before their request; they are kept for half a month."""
    if work.uploads:
        stored = work.pictures * work.uploads * work.picture_bytes / 2**30 * UPLOADS_KEPT_MONTHS
        yield "S3, uploads stored for half a month", stored, "GiB-months", "s3.gib-month"


def _to_the_outside(work: Workload) -> Iterator[tuple[str, float, str, str]]:
    """What leaves AWS, and what is told to callers' own addresses."""
    if work.downloads:
        gigabytes = work.pictures * work.downloads * work.picture_bytes / 1e9
        yield "pictures downloaded from AWS", gigabytes, "GB", "transfer.out.gb"
    if work.webhooks:
        told = work.pictures * work.webhooks
        yield "webhooks, their queue", told * CALLS_PER_TASK.queue_requests, "requests", "sqs.request"
        yield "webhooks, Lambda calls", told, "requests", "lambda.request"
        seconds = told * SENDER_SECONDS * SENDER_MEMORY_MIB / 1024
        yield "webhooks, Lambda time", seconds, "GiB-seconds", "lambda.gib-second"
        yield "webhooks, writes of what was sent", told * WRITES_OF_A_WEBHOOK, "writes", "dynamodb.write"
        yield "webhooks, reads of records", told * READS_OF_A_WEBHOOK, "reads", "dynamodb.read"
        yield "webhooks, through NAT gateways", told * WEBHOOK_BYTES / 1e9, "GB", "nat.gateway.gb"
        yield "webhooks, out of AWS", told * WEBHOOK_BYTES / 1e9, "GB", "transfer.out.gb"


def _months(count: float) -> str:
    return "a month" if count == 1 else f"{count:g} months"
