"""Whoever cancels a task that runs does not wait for its lease: the agent looks while it tells of its progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from darkroom.aws.connection import Aws
from darkroom.settings import AwsSettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import JsonObject, Status, TaskKind
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import notified, settings_for, submit, task_for, until, until_empty, working
from tests.integration.test_progress import WORKFLOW

# An agent extends a lease of this length, and looks for wishes then, long after a test has ended.
LEASE_SECONDS = 3600


async def record(plane: Plane, task_id: str, submission_id: str) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id=task_id, submission_id=submission_id, status=Status.QUEUED, runtime=plane.runtime))


async def runs(plane: Plane, submission_id: str) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    async with asyncio.timeout(30):
        while True:
            found = await table.get_submission(submission_id)
            if found is not None and found.status is Status.RUNNING:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def sdwebui() -> AsyncIterator[tuple[Any, Callable[[], bool]]]:
    async with FakeSdWebui(plain_bytes=1500, latency_seconds=600.0) as fake:
        yield fake, lambda: fake.job.count > 0


@asynccontextmanager
async def comfyui() -> AsyncIterator[tuple[Any, Callable[[], bool]]]:
    async with FakeComfyUi(plain_bytes=1500, checkpoints=("sd15.safetensors",), latency_seconds=600.0) as fake:
        yield fake, lambda: fake.running is not None


async def cancelled_while_it_runs(plane: Plane, runtime_type: str, opened: Callable[[], Any], task: JsonObject) -> None:
    await record(plane, "t1", "s1")
    async with opened() as (fake, is_busy), working(settings_for(plane, fake.url, runtime_type=runtime_type)):
        await submit(plane, task_for(plane, **task), "s1")
        await until(is_busy)
        await runs(plane, "s1")
        await plane.aws.task_table(plane.provisioned.table).request_cancel("t1")
        ((end, _),) = await notified(plane)
        assert not is_busy()
        await until_empty(plane.queue)
    assert end.status is Status.CANCELLED
    assert end.error is not None
    assert end.error.message == "cancelled while it ran"


async def test_a_task_that_runs_is_cancelled_and_its_device_free_long_before_its_lease_is_extended(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    """Both ways: this SD Web UI says all the time how far it is, and this ComfyUI takes longer than that for a step."""
    planes = [await make_plane(aws, aws_settings, visibility_timeout_seconds=LEASE_SECONDS) for _ in range(2)]
    await asyncio.gather(
        cancelled_while_it_runs(planes[0], "sdwebui", sdwebui, {}),
        cancelled_while_it_runs(planes[1], "comfyui", comfyui, {"kind": TaskKind.PIPELINE, "content": WORKFLOW}),
    )


async def test_a_wish_that_came_before_the_task_was_told_to_run_stops_it_when_that_is_told(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    """Nobody needs to look for it: it stands in the record in which the agent writes that the task runs."""
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=LEASE_SECONDS)
    await record(plane, "t1", "s1")

    def slow(request: AwsRequest) -> AwsFault | None:
        return AwsFault.SLOW if (request.service, request.operation) == ("dynamodb", "UpdateItem") else None

    async with (
        FakeSdWebui(plain_bytes=1500, latency_seconds=600.0) as fake,
        FaultProxy(str(plane.settings.endpoint_url), faults=slow, slow_seconds=0.5) as proxy,
    ):
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, fake.url, aws=behind, heartbeats=False)):
            await submit(plane, task_for(plane), "s1")
            await until(lambda: proxy.suffered[AwsFault.SLOW] == 1)
            await plane.aws.task_table(plane.provisioned.table).request_cancel("t1")
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
    assert end.status is Status.CANCELLED
    assert fake.interrupts == 1
