"""What a million pictures cost, beside what is paid anyway: the guide's own table, for Darkroom's own calls.

USD, us-east-1, as of 2026-11 (AWS's public price list); free tiers are left out. How often each service is asked for
one picture is what the front door and the agent really do: `tests/integration/test_calls_per_task.py` counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.gpu_nodes import gpu_demands, matching
from darkroom.infra.costs import GPU_PER_HOUR, PRICED_REGION
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
NAT_GATEWAY_GB = 0.045


@dataclass(frozen=True)
class CallsPerTask:
    """How often each service is asked, from the request to the notification, for one task with one picture.

    `queue_requests` holds the delivery from the topic as well.
    """

    topic_publishes: int = 2
    queue_requests: int = 3
    table_writes: int = 3
    table_reads: int = 1
    bucket_puts: int = 2
    bucket_gets: int = 2


CALLS_PER_TASK = CallsPerTask()


@dataclass(frozen=True)
class PictureCost:
    """One line of the estimate, in USD for `PICTURES` pictures; None where no price is known here."""

    what: str
    usd: float | None


def service_costs() -> list[PictureCost]:
    """What `PICTURES` pictures cost in every service but the GPUs' instances; pictures are stored for one month."""
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
    ]
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
    return costs
