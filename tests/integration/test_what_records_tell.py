"""What a task's record tells of its way: who had it, when, how often, for how long, and why it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws
from darkroom.settings import AwsSettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import TaskView
from darkroom.tasks.task import Status, TaskKind
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from darkroom.testing.free_port import free_port
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import (
    DEADLINE_SECONDS,
    SOON,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def record_when(plane: Plane, condition: Callable[[TaskRecord], object], task_id: str = "t1") -> TaskRecord:
    """The task's record, as soon as it meets the condition."""
    table = plane.aws.task_table(plane.provisioned.table)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            record = await table.get(task_id)
            if record is not None and condition(record):
                return record
            await asyncio.sleep(0.02)


async def test_a_task_that_is_done_says_when_where_and_with_what(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 0.3
    before = time.time()
    async with working(settings_for(plane, runtime.url, agent_name="painter-1")):
        await submit(plane, task_for(plane))
        running = await record_when(plane, lambda record: record.status is Status.RUNNING)
        await notified(plane)
        ended = await record_when(plane, lambda record: record.status.is_terminal)
    after = time.time()
    assert (running.agent, running.attempts, running.ended_at, running.device_seconds) == ("painter-1", 1, None, None)
    assert running.started_at is not None
    assert ended.ended_at is not None
    assert before <= running.started_at <= ended.ended_at - 0.3
    assert ended.ended_at <= after
    assert (ended.started_at, ended.agent, ended.attempts) == (running.started_at, "painter-1", 1)
    assert ended.model == "v1-5-pruned-emaonly"
    assert ended.device_seconds is not None
    assert 0.3 <= ended.device_seconds <= ended.ended_at - ended.started_at + 0.1
    assert (ended.waits_because, ended.next_try_at) == (None, None)
    stages = (ended.received_at, ended.prepared_at, ended.started_at, ended.stored_at, ended.ended_at)
    times = [stage for stage in stages if stage is not None]
    assert len(times) == len(stages)
    assert times == sorted(times)
    assert times[3] >= ended.started_at + 0.3
    view = TaskView.of(ended)
    assert view.stored_at is not None
    assert view.stored_at.timestamp() == pytest.approx(times[3], abs=0.001)


async def test_a_pipelines_record_says_which_checkpoints_its_workflow_names(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    plane = await make_plane(aws, aws_settings)
    workflow = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "9": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "10": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "x"}},
    }
    async with FakeComfyUi(plain_bytes=1500) as fake:
        settings = settings_for(plane, fake.url, runtime_type="comfyui")
        async with working(settings):
            await submit(plane, task_for(plane, kind=TaskKind.PIPELINE, content=workflow))
            ((end, _),) = await notified(plane)
            ended = await record_when(plane, lambda record: record.status.is_terminal)
    assert end.status is Status.COMPLETED, end.error
    assert ended.model == "sd15.safetensors"


async def test_a_task_that_waits_for_another_try_says_why_and_until_when(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.faults.append(SdWebuiFault.ERROR)
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane))
        waiting = await record_when(plane, lambda record: record.waits_because)
        ((end, _),) = await notified(plane)
        ended = await record_when(plane, lambda record: record.status.is_terminal)
    assert (waiting.status, waiting.attempts) == (Status.QUEUED, 1)
    assert waiting.waits_because is not None
    assert waiting.waits_because.startswith("tried once: ")
    assert waiting.next_try_at is not None
    assert 0.5 <= waiting.next_try_at - waiting.updated_at <= 2.5
    assert end.status is Status.COMPLETED
    assert (ended.waits_because, ended.next_try_at, ended.attempts) == (None, None, 2)
    assert ended.started_at == waiting.started_at
    (setback,) = ended.setbacks  # it stays when the task has ended
    assert (setback.number, setback.reason) == (1, waiting.waits_because)
    (view,) = TaskView.of(ended).setbacks
    assert view.agent is None
    assert TaskView.of(ended, for_operator=True).setbacks[0].agent == setback.agent


async def test_a_task_whose_link_is_tried_again_says_so_though_it_never_began(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    link = f"http://127.0.0.1:{free_port()}/cat.png"  # nobody listens there
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, kind=TaskKind.IMAGE_TO_IMAGE, content={"init_images": [link]}))
        waiting = await record_when(plane, lambda record: record.waits_because)
    assert (waiting.status, waiting.attempts, waiting.started_at) == (Status.QUEUED, 0, None)
    assert waiting.waits_because is not None
    assert link in waiting.waits_because


async def test_a_task_that_is_given_back_by_an_agent_that_ends_says_so(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 60.0
    await submit(plane, task_for(plane))
    async with open_agent(settings_for(plane, runtime.url, agent_name="painter-1"), Health(), SOON) as agent:
        run = asyncio.create_task(agent.run())
        await until(lambda: len(runtime.requests) == 1)
        await record_when(plane, lambda record: record.status is Status.RUNNING)
        await agent.stop(0)
        await run
    waiting = await record_when(plane, lambda record: True)
    assert (waiting.status, waiting.agent) == (Status.QUEUED, "painter-1")
    assert waiting.waits_because is not None
    assert "told to stop" in waiting.waits_because


async def test_a_task_whose_agent_was_lost_says_so_while_it_waits_for_the_next_ones_device(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    await submit(plane, task_for(plane), "s1")
    (message,) = await plane.queue.receive(wait_seconds=5)
    table = plane.aws.task_table(plane.provisioned.table)
    lost = TaskRecord(
        id="t1",
        submission_id="s1",
        status=Status.RUNNING,
        runtime=plane.runtime,
        created_at=time.time(),
        updated_at=time.time(),
        agent="painter-1",
    )
    assert await table.advance(lost, begins_try=True)
    runtime.latency_seconds = 3.0
    async with working(settings_for(plane, runtime.url, agent_name="painter-2", model_window=4, dynamic_model=True)):
        await submit(plane, task_for(plane, "t2"))
        await until(lambda: len(runtime.requests) == 1)
        await plane.queue.change_visibility(message.receipt_handle, 0)
        waiting = await record_when(plane, lambda record: record.waits_because or record.agent == "painter-2")
        ended = await record_when(plane, lambda record: record.status.is_terminal)
    assert (waiting.status, waiting.agent) == (Status.QUEUED, "painter-1")
    assert waiting.waits_because == "tried once: the agent painter-1 went away while it had the task"
    assert (ended.status, ended.agent, ended.attempts) == (Status.COMPLETED, "painter-2", 2)
    assert ended.waits_because is None
    assert [(one.number, one.agent) for one in ended.setbacks] == [(1, "painter-1")]


async def test_why_a_task_waits_is_written_by_whoever_had_it_last(plane: Plane) -> None:
    """A task that another agent has in the meantime runs, whatever the one before has still to say."""
    table = plane.aws.task_table(plane.provisioned.table)
    running = TaskRecord(
        id="t1", submission_id="s1", status=Status.RUNNING, runtime="r", created_at=1e9, updated_at=1e9
    )
    assert await table.advance(msgspec.structs.replace(running, agent="a"), begins_try=True)
    waits = msgspec.structs.replace(running, status=Status.QUEUED, waits_because="tried once: x", next_try_at=1e9)
    assert await table.advance(waits, only_after="a")
    assert await table.advance(msgspec.structs.replace(running, agent="b"), begins_try=True)
    assert not await table.advance(waits, only_after="a")
    record = await table.get("t1")
    assert record is not None
    assert (record.status, record.agent, record.attempts) == (Status.RUNNING, "b", 2)
    assert (record.waits_because, record.next_try_at) == (None, None)
    assert await table.advance(msgspec.structs.replace(running, status=Status.COMPLETED, agent="b"))
    assert not await table.advance(waits, only_after="b")
    record = await table.get("t1")
    assert record is not None
    assert (record.status, record.attempts) == (Status.COMPLETED, 2)


@pytest.mark.parametrize("fault", [AwsFault.DENIED, AwsFault.SILENT])
async def test_a_table_that_does_not_take_why_a_task_waits_costs_the_task_nothing(
    plane: Plane, runtime: FakeSdWebui, fault: AwsFault
) -> None:
    writes: list[float] = []

    def away(request: AwsRequest) -> AwsFault | None:
        if (request.service, request.operation) != ("dynamodb", "UpdateItem"):
            return None
        writes.append(time.monotonic())
        # That it runs and its pointer; why it waits; then that it runs again.
        return fault if len(writes) == 3 else None

    runtime.faults.append(SdWebuiFault.ERROR)
    async with FaultProxy(str(plane.settings.endpoint_url), faults=away) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind)):
            await submit(plane, task_for(plane))
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
            ended = await record_when(plane, lambda record: record.status.is_terminal)
    assert proxy.suffered[fault] == 1
    assert (end.status, ended.attempts) == (Status.COMPLETED, 2)
    assert writes[3] - writes[2] < 10  # a silent service is not waited for


async def test_a_try_that_could_not_be_recorded_when_it_began_is_counted_when_it_ends(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    def away(request: AwsRequest) -> AwsFault | None:
        is_update = (request.service, request.operation) == ("dynamodb", "UpdateItem")
        return AwsFault.DENIED if is_update and request.number == 0 else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=away) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind, agent_name="painter-1")):
            await submit(plane, task_for(plane))
            await notified(plane)
            ended = await record_when(plane, lambda record: record.status.is_terminal)
    assert (ended.attempts, ended.agent) == (1, "painter-1")
    assert ended.started_at is not None
