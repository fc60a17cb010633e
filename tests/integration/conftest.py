"""Needs: the AWS emulator on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.queue import Queue
from darkroom.config.task_plane import (
    CHANGES,
    LISTING,
    BucketPlan,
    QueuePlan,
    RuntimeRoute,
    TablePlan,
    TaskPlane,
    TopicPlan,
    plan_task_plane,
    plan_webhook_queue,
)
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.policy.catalogue import RuntimeSpec, encode_catalogue
from darkroom.policy.queue_urls import encode_queue_urls
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port

KEY = "integration-key"


@dataclass(frozen=True)
class Plane:
    """A task plane of a test's own, with a queue that listens to the output topic."""

    aws: Aws
    settings: AwsSettings
    provisioned: ProvisionedPlane
    runtime: str
    notifications: Queue

    @property
    def model(self) -> str:
        """The model that the runtime has loaded, by which requests of the older form find it."""
        return self.runtime.removeprefix("sdruntime-") + ".safetensors"

    @property
    def queue(self) -> Queue:
        return self.aws.queue(self.provisioned.queues[0].url)

    @property
    def low_queue(self) -> Queue:
        """Of a plane that was made with `low_priority`."""
        assert self.provisioned.queues[0].low_url is not None
        return self.aws.queue(self.provisioned.queues[0].low_url)

    @property
    def dead_letters(self) -> Queue:
        return self.aws.queue(self.provisioned.queues[0].dead_letter_url)


@pytest.fixture
async def aws(aws_settings: AwsSettings) -> AsyncIterator[Aws]:
    async with open_aws(aws_settings, *SERVICES) as opened:
        yield opened


@pytest.fixture
async def plane(aws: Aws, aws_settings: AwsSettings) -> Plane:
    return await make_plane(aws, aws_settings)


async def make_plane(aws: Aws, settings: AwsSettings, *, low_priority: bool = False, **queue_options: object) -> Plane:
    """A task plane for one runtime, under names that no other test uses."""
    suffix = uuid.uuid4().hex[:8]
    runtime = f"sdruntime-{suffix}"
    route = RuntimeRoute(runtime, f"{suffix}.safetensors", low_priority=low_priority)
    (queue,) = plan_task_plane([route]).queues
    low = None if queue.low is None else dataclasses.replace(queue.low, **queue_options)  # type: ignore[arg-type]
    options = {"runtime": runtime, "filter_policy": queue.filter_policy, "low": low, **queue_options}
    described = TaskPlane(
        queues=(QueuePlan(**options),),  # type: ignore[arg-type]
        input_topic=TopicPlan(f"input-{suffix}"),
        output_topic=TopicPlan(f"output-{suffix}"),
        bucket=BucketPlan(name=f"output-{suffix}"),
        table=TablePlan(name=f"tasks-{suffix}", indices=(LISTING, CHANGES)),
        webhooks=dataclasses.replace(plan_webhook_queue(["shop"]), role=f"Webhook-{suffix}"),
    )
    provisioned = await provision(described, aws)
    # Tests give records times of long ago; the emulator would drop these whenever its minute comes round.
    kept = {"Enabled": False, "AttributeName": described.table.expiry_attribute}
    await aws.client("dynamodb").update_time_to_live(TableName=provisioned.table, TimeToLiveSpecification=kept)
    sqs, sns = aws.client("sqs"), aws.client("sns")
    url = (await sqs.create_queue(QueueName=f"listener-{suffix}"))["QueueUrl"]
    arn = await aws.queue(url).read_arn()
    await sns.subscribe(
        TopicArn=provisioned.output_topic_arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    return Plane(aws, settings, provisioned, runtime, aws.queue(url))


def front_door_environment(plane: Plane) -> dict[str, str]:
    return {
        "AWS_DEFAULT_REGION": plane.settings.region,
        "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url),
        "SNS_TOPIC_ARN": plane.provisioned.input_topic_arn,
        "S3_BUCKET": plane.provisioned.bucket,
        "DARKROOM_TASK_TABLE": plane.provisioned.table,
        "DARKROOM_QUEUES": encode_queue_urls({plane.runtime: plane.queue.url}),
        "DARKROOM_RUNTIMES": encode_catalogue([RuntimeSpec(name=plane.runtime, type="sdwebui", model=plane.model)]),
    }


@dataclass(frozen=True)
class RunningGateway:
    process: asyncio.subprocess.Process
    endpoint: str


@pytest.fixture
async def gateway(plane: Plane) -> AsyncIterator[RunningGateway]:
    async with running_gateway(plane) as running:
        yield running


@asynccontextmanager
async def running_gateway(plane: Plane, **more: str) -> AsyncIterator[RunningGateway]:
    """A gateway as a process; `more` are further variables of its environment."""
    port = free_port()
    environment = {
        **os.environ,
        **front_door_environment(plane),
        "DARKROOM_API_KEYS": KEY,
        "DARKROOM_PORT": str(port),
        "DARKROOM_STAGE": "prod",
        **more,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "darkroom", "gateway", env=environment)
    try:
        await _wait_until_healthy(f"http://127.0.0.1:{port}/healthz")
        yield RunningGateway(process, f"http://127.0.0.1:{port}/prod")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 60
    async with httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)
