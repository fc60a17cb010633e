"""Whatever the OpenAPI document allows, and what it does not, is answered as it says: no 5xx, nothing undocumented.

A short run with a fixed seed; `make schemathesis` does it for minutes, against the real gateway and the real handler.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.contract.doors import CALLERS, NOW, RUNTIMES

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.heartbeat import AgentState, Heartbeat
from darkroom.tasks.notification import NotifiedError
from darkroom.tasks.progress import Progress
from darkroom.tasks.queue_depth import QueueDepth
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import (
    MemoryBucket,
    MemoryCounts,
    MemoryKeys,
    MemoryRecords,
    MemoryTaskLists,
    MemoryTopic,
)
from darkroom.testing.lambda_door import LambdaDoor
from darkroom.testing.runtime_ports import MemoryProgress, MemoryRuntimes

pytestmark = pytest.mark.slow


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SETTINGS = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def front_door() -> FrontDoor:
    records, runtimes, progress = MemoryRecords(), MemoryRuntimes(), MemoryProgress()
    runtimes.depths["sdruntime"] = QueueDepth(waiting=4, in_flight=1)
    runtimes.beats["sdruntime"] = [
        Heartbeat(
            agent="a",
            runtime="sdruntime",
            seen_at=NOW,
            state=AgentState.READY,
            model="v1-5.safetensors",
            service_seconds=2.0,
            head_sent_at=NOW - 9,
        )
    ]
    for number, status in enumerate(Status):
        record = TaskRecord(
            id="test-t2i" if status is Status.RUNNING else f"t{number}",
            submission_id=f"s{number}",
            status=status,
            runtime="sdruntime",
            caller="shop",
            created_at=NOW - number,
            updated_at=NOW,
            started_at=NOW,
            ended_at=NOW if status.is_terminal else None,
            attempts=number,
            error=NotifiedError(type="A", message="b", retryable=True) if status is Status.FAILED else None,
            image_url=["s3://b/a.png"] if status is Status.COMPLETED else [],
            output_url="s3://b/a.out" if status.is_terminal else None,
            waits_because="tried twice",
            next_try_at=NOW,
            deadline=NOW + 60,
            device_seconds=1.5,
            model="v1-5.safetensors",
            agent="a",
        )
        records.records[record.id, "shop"] = record
    progress.progress["s1"] = Progress(value=0.5, step=1, steps=2)
    return FrontDoor(
        Service(RUNTIMES, "b", CALLERS),
        Ports(
            MemoryTopic(),
            MemoryBucket(),
            records=records,
            counts=MemoryCounts(),
            keys=MemoryKeys(),
            lists=MemoryTaskLists(records),
            progress=progress,
            heartbeats=runtimes.heartbeats,
            depths=runtimes,
        ),
        clock=lambda: NOW,
        new_submission_id=iter(f"submission-{number}" for number in range(10**6)).__next__,
        callers=CALLERS,
    )


GATEWAY = create_gateway(
    GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
        stage="prod",
        api_keys=(),
        rate_limit=1e6,
        burst_limit=10**6,
        allowed_hosts=("*",),
    ),
    front_door(),
    monotonic=lambda: 0.0,
    callers=CALLERS,
)
DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(GATEWAY.openapi()))
BEHIND_API_GATEWAY = {
    **DOCUMENT,
    "paths": {path: item for path, item in DOCUMENT["paths"].items() if path != "/healthz"},
}
LAMBDA = LambdaDoor(
    create_handler(front_door(), CALLERS), "prod", {f"key-{caller.name}": str(caller.id) for caller in CALLERS}
)
gateway = schemathesis.openapi.from_dict(DOCUMENT)
gateway.app = GATEWAY
behind_api_gateway = schemathesis.openapi.from_dict(BEHIND_API_GATEWAY)
behind_api_gateway.app = LAMBDA


@pytest.mark.parametrize("caller", ["shop", "boss"])
@gateway.parametrize()
@SETTINGS
def test_the_gateway_keeps_to_its_document(case: schemathesis.Case, caller: str) -> None:
    case.call_and_validate(headers={"x-api-key": f"key-{caller}"}, checks=CHECKS)


@pytest.mark.parametrize("caller", ["shop", "boss"])
@behind_api_gateway.parametrize()
@SETTINGS
def test_the_function_keeps_to_the_same_document(case: schemathesis.Case, caller: str) -> None:
    case.call_and_validate(headers={"x-api-key": f"key-{caller}"}, checks=CHECKS)
