"""How often AWS is asked for one task: what the estimate of costs counts with."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import msgspec

from darkroom.api.lambda_handler import compose
from darkroom.planner.picture_costs import CALLS_PER_TASK
from darkroom.samples import read_sample
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import FaultProxy

from .conftest import Plane, front_door_environment
from .test_agent import notified, settings_for, until_empty, working


async def test_one_task_with_one_picture_asks_as_often_as_the_estimate_says(plane: Plane) -> None:
    async with FaultProxy(str(plane.settings.endpoint_url)) as proxy, FakeSdWebui(plain_bytes=1500) as runtime:
        proxied = replace(plane, settings=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url))
        sample = read_sample("v1alpha2-text-to-image")
        sample["task"]["metadata"]["runtime"] = plane.runtime
        event = {
            "httpMethod": "POST",
            "path": "/v1alpha2",
            "headers": {"content-type": "application/json"},
            "body": json.dumps(sample),
        }
        handler = compose(front_door_environment(proxied))
        # The handler is synchronous, and the proxy needs this loop.
        reply = await asyncio.to_thread(handler, event, None)
        assert reply["statusCode"] == 200, reply
        # Heartbeats are an agent's, and cost the same however many tasks it does.
        async with working(settings_for(proxied, runtime.url, heartbeats=False)):
            await notified(plane)
            await until_empty(plane.queue)
        asked = proxy.requests
    calls = CALLS_PER_TASK
    assert asked["sns:Publish"] == calls.topic_publishes
    # A task's record is written to the index of lists as well, once (tests/integration/test_task_lists.py).
    # A transaction of two writes, for the end and its caller's usage, costs as much as four.
    assert asked["dynamodb:TransactWriteItems"] == 1
    assert asked["dynamodb:PutItem"] + asked["dynamodb:UpdateItem"] + 4 + 1 == calls.table_writes
    assert asked["dynamodb:GetItem"] == calls.table_reads
    assert asked["s3:PUT"] == calls.bucket_puts
    # Before it runs and before its pictures are stored: has it ended already?
    assert asked["s3:GET"] + asked["s3:HEAD"] == calls.bucket_gets
    # One that the topic delivers, one that receives and one that deletes; an agent that waits receives at other times.
    assert asked["sqs:DeleteMessage"] + asked["sqs:DeleteMessageBatch"] == 1
    assert asked["sqs:ChangeMessageVisibility"] == 0
    assert calls.queue_requests == 3
