"""A message that is replaced by a copy, for an outage that is not its task's fault, stays what it was."""

from __future__ import annotations

import time

from darkroom.agent.clock import Clock
from darkroom.agent.lease import Lease
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, task_for, until_empty, working

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


async def test_a_copy_keeps_its_submission_its_trace_and_its_time(plane: Plane) -> None:
    others = {f"a{number}": "x" for number in range(9)}
    await plane.queue.send("text", {**others, "runtime": plane.runtime}, trace_header=HEADER)
    originals = []
    for _ in range(3):
        (message,) = await plane.queue.receive(wait_seconds=5)
        originals.append(message)
        await Lease(plane.queue, message, 30, Clock(), time.monotonic()).start_over(0)
    first, second, third = originals
    assert len({message.message_id for message in originals}) == 3
    for copy in (second, third):
        assert (copy.body, copy.received, copy.trace_header) == ("text", 1, HEADER)
        assert copy.attributes["submission_id"] == first.message_id
        assert float(copy.attributes["first_sent_at"]) == first.sent_at
        assert copy.attributes["runtime"] == plane.runtime
        assert len(copy.attributes) == 10


async def test_a_copy_of_a_task_that_has_waited_too_long_is_not_run(plane: Plane) -> None:
    attributes = {"submission_id": "s1", "first_sent_at": str(time.time() - 100)}
    await plane.queue.send(encode_message(task_for(plane)), attributes)
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        working(settings_for(plane, runtime.url, task_expiry_seconds=60.0)),
    ):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, runtime.requests) == (Status.EXPIRED, [])
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert time.time() - record.created_at > 90
