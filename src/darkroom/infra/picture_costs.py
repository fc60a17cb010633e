"""What a million pictures cost, beside what is paid anyway: the guide's own table, for Darkroom's own calls.

USD, us-east-1, as of 2026-11 (AWS's public price list); free tiers are left out. How often each service is asked for
one picture is what the front door and the agent really do: `tests/integration/test_calls_per_task.py` counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.gpu_nodes import gpu_demands, matching
from darkroom.infra.costs import INSIGHTS_PER_NODE
from darkroom.infra.prices import (
    GPU_PER_HOUR,
    HOURS_PER_MONTH,
    LOGS_GB,
    NAT_GATEWAY_GB,
    PRICED_REGION,
    SIGNATURE,
    TRACE,
    VOLUME_GIB_MONTH,
)
from darkroom.infra.template.bundle import LAMBDA_MEMORY_MIB
from darkroom.infra.template.partition import partition_facts

PICTURES = 1_000_000
# The guide's assumptions, so that its table and ours can be held side by side.
SECONDS_PER_PICTURE = 1.5
PICTURE_BYTES = 150_000
REQUEST_BYTES = 16_384
# A call of the function, nearly all of it spent waiting for SNS and DynamoDB.
FUNCTION_SECONDS = 0.05

API_REQUEST = 3.50e-6
FUNCTION_CALL = 0.20e-6
FUNCTION_GIB_SECOND = 0.0000166667
TOPIC_PUBLISH = 0.50e-6
QUEUE_REQUEST = 0.40e-6
TABLE_WRITE = 0.625e-6
TABLE_READ = 0.125e-6
BUCKET_PUT = 5e-6
BUCKET_GET = 0.4e-6
BUCKET_GIB_MONTH = 0.023
# What the agents, the function and API Gateway write of one task, with Kubernetes' own words beside it.
LOG_BYTES = 6_000
# X-Ray's default: one request a second, and of the others one in twenty.
TRACED_SHARE = 0.05
# The system's and the data volume of a GPU node.
GPU_NODE_GIB = 110


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
    bucket_gets: int = 1


CALLS_PER_TASK = CallsPerTask()


@dataclass(frozen=True)
class PictureCost:
    """One line of the estimate, in USD for `PICTURES` pictures; None where no price is known here."""

    what: str
    usd: float | None


def service_costs(config: DarkroomConfig | None = None) -> list[PictureCost]:
    """What `PICTURES` pictures cost in every service but the GPUs' instances; pictures are stored for one month.

    With `config`, what it adds to that.
    """
    calls = CALLS_PER_TASK
    function_seconds = FUNCTION_SECONDS * LAMBDA_MEMORY_MIB / 1024
    gibibytes = PICTURES * PICTURE_BYTES / 2**30
    # Pictures and records go through gateway endpoints, which are free; messages go through the NAT gateways.
    message_gigabytes = PICTURES * REQUEST_BYTES / 1e9
    lines = [
        ("API Gateway", PICTURES * API_REQUEST),
        ("Lambda", PICTURES * (FUNCTION_CALL + function_seconds * FUNCTION_GIB_SECOND)),
        ("SNS", PICTURES * calls.topic_publishes * TOPIC_PUBLISH),
        ("SQS", PICTURES * calls.queue_requests * QUEUE_REQUEST),
        ("DynamoDB", PICTURES * (calls.table_writes * TABLE_WRITE + calls.table_reads * TABLE_READ)),
        ("S3 requests", PICTURES * (calls.bucket_puts * BUCKET_PUT + calls.bucket_gets * BUCKET_GET)),
        ("S3 storage for a month", gibibytes * BUCKET_GIB_MONTH),
        ("messages through NAT gateways", message_gigabytes * NAT_GATEWAY_GB),
        ("logs of tasks", PICTURES * LOG_BYTES / 1e9 * LOGS_GB),
        ("X-Ray traces", PICTURES * TRACED_SHARE * TRACE),
    ]
    signing = None if config is None else config.provenance
    if signing is not None and signing.enabled and signing.certificate and signing.kms_key_id:
        lines.append(("KMS, which signs them", PICTURES * SIGNATURE))
    return [PictureCost(what, usd) for what, usd in lines]


def gpu_costs(config: DarkroomConfig) -> list[PictureCost]:
    """What the GPU instances cost if one runtime made all of `PICTURES`, for each one: its cheapest type, never idle.

    On demand; Spot instances cost up to 70 % less, and nobody knows their price beforehand.
    """
    hours = PICTURES * SECONDS_PER_PICTURE / 3600
    costs = []
    for demand in gpu_demands(config, partition_facts(PRICED_REGION)):
        prices = {name: GPU_PER_HOUR[name] for name in matching(demand, GPU_PER_HOUR)}
        if prices:
            cheapest = min(prices, key=lambda name: prices[name])
            spot = "; Spot costs up to 70 % less" if demand.spot else ""
            costs.append(PictureCost(f"{demand.runtime}: {cheapest} on demand{spot}", hours * prices[cheapest]))
        else:
            costs.append(PictureCost(f"{demand.runtime}: {', '.join(demand.instance_types)}", None))
    by_the_hour = GPU_NODE_GIB * VOLUME_GIB_MONTH / HOURS_PER_MONTH
    costs.append(PictureCost("disks of GPU nodes", hours * by_the_hour))
    if config.cluster.container_insights and config.cluster.name is None:
        insights = hours * INSIGHTS_PER_NODE / HOURS_PER_MONTH
        costs.append(PictureCost("Container Insights of GPU nodes", insights))
    return costs
