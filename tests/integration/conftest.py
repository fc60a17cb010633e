"""Needs: the AWS emulator on loopback."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.queue import Queue
from darkroom.config.task_plane import (
    BucketPlan,
    QueuePlan,
    RuntimeRoute,
    TablePlan,
    TaskPlane,
    TopicPlan,
    plan_task_plane,
)
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.settings import AwsSettings


@dataclass(frozen=True)
class Plane:
    """A task plane of a test's own, with a queue that listens to the output topic."""

    aws: Aws
    settings: AwsSettings
    provisioned: ProvisionedPlane
    runtime: str
    notifications: Queue

    @property
    def queue(self) -> Queue:
        return self.aws.queue(self.provisioned.queues[0].url)

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


async def make_plane(aws: Aws, settings: AwsSettings, **queue_options: object) -> Plane:
    """A task plane for one runtime, under names that no other test uses."""
    suffix = uuid.uuid4().hex[:8]
    runtime = f"sdruntime-{suffix}"
    (queue,) = plan_task_plane([RuntimeRoute(runtime, f"{suffix}.safetensors")]).queues
    options = {"runtime": runtime, "filter_policy": queue.filter_policy, **queue_options}
    described = TaskPlane(
        queues=(QueuePlan(**options),),  # type: ignore[arg-type]
        input_topic=TopicPlan(f"input-{suffix}"),
        output_topic=TopicPlan(f"output-{suffix}"),
        bucket=BucketPlan(name=f"output-{suffix}"),
        table=TablePlan(name=f"tasks-{suffix}"),
    )
    provisioned = await provision(described, aws)
    sqs, sns = aws.client("sqs"), aws.client("sns")
    url = (await sqs.create_queue(QueueName=f"listener-{suffix}"))["QueueUrl"]
    arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    await sns.subscribe(
        TopicArn=provisioned.output_topic_arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    return Plane(aws, settings, provisioned, runtime, aws.queue(url))
