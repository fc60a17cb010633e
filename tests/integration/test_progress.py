"""How far a task is: written down while it runs, of this task alone, at most so often, and never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from darkroom.tasks.progress import Progress
from darkroom.tasks.task import JsonObject, Status, TaskKind
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane
from tests.integration.test_agent import DEADLINE_SECONDS, notified, settings_for, submit, task_for, working

WORKFLOW: JsonObject = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a dog"}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["3", 0],
            "seed": 1,
            "steps": 40,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
}


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def progress_of(plane: Plane, submission_id: str) -> Progress | None:
    found = await plane.aws.progress(plane.provisioned.table).read([submission_id])
    return found.get(submission_id)


async def progress_when_told(plane: Plane, submission_id: str) -> Progress:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await progress_of(plane, submission_id)
            if found is not None:
                return found
            await asyncio.sleep(0.02)


async def test_how_far_a_task_is_can_be_read_while_it_runs(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 2.5
    async with working(settings_for(plane, runtime.url, progress_seconds=0.5)):
        await submit(plane, task_for(plane, content={"prompt": "A dog", "steps": 20}), "s1")
        progress = await progress_when_told(plane, "s1")
        ((end, _),) = await notified(plane)
    assert 0.1 < progress.value < 1.0
    assert progress.steps == 20
    assert progress.step is not None
    assert 0 < progress.step < 20
    assert end.status is Status.COMPLETED


@pytest.mark.parametrize(("latency_seconds", "progress_seconds"), [(0.4, 2.0), (1.4, 2.0), (1.4, None)])
async def test_a_short_task_costs_no_write_and_nothing_is_written_where_nobody_wants_it(
    plane: Plane, runtime: FakeSdWebui, latency_seconds: float, progress_seconds: float | None
) -> None:
    runtime.latency_seconds = latency_seconds
    async with FaultProxy(str(plane.settings.endpoint_url)) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(
            settings_for(plane, runtime.url, aws=behind, progress_seconds=progress_seconds, heartbeats=False)
        ):
            await submit(plane, task_for(plane), "s1")
            await notified(plane)
    assert await progress_of(plane, "s1") is None
    assert not proxy.requests["dynamodb:PutItem"]


async def test_a_runtime_that_tells_of_every_step_is_written_of_now_and_then(plane: Plane) -> None:
    loop = asyncio.get_running_loop()
    async with (
        FakeComfyUi(plain_bytes=1500, checkpoints=("sd15.safetensors",), latency_seconds=3.0) as fake,
        FaultProxy(str(plane.settings.endpoint_url)) as proxy,
    ):
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        settings = settings_for(
            plane, fake.url, runtime_type="comfyui", aws=behind, progress_seconds=1.0, heartbeats=False
        )
        async with working(settings):
            began = loop.time()
            await submit(plane, task_for(plane, kind=TaskKind.PIPELINE, content=WORKFLOW), "s1")
            progress = await progress_when_told(plane, "s1")
            ((end, _),) = await notified(plane)
            seconds = loop.time() - began
    assert end.status is Status.COMPLETED, end.error
    assert progress.steps == 40
    assert 1 <= proxy.requests["dynamodb:PutItem"] <= seconds + 1, "one a second"


@pytest.mark.parametrize("fault", [AwsFault.DENIED, AwsFault.SILENT])
async def test_a_table_that_does_not_take_progress_delays_no_task(
    plane: Plane, runtime: FakeSdWebui, fault: AwsFault
) -> None:
    runtime.latency_seconds = 2.5

    def away(request: AwsRequest) -> AwsFault | None:
        return fault if (request.service, request.operation) == ("dynamodb", "PutItem") else None

    loop = asyncio.get_running_loop()
    async with FaultProxy(str(plane.settings.endpoint_url), faults=away) as proxy:
        behind: Any = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, runtime.url, aws=behind, progress_seconds=0.5, heartbeats=False)):
            began = loop.time()
            await submit(plane, task_for(plane), "s1")
            ((end, _),) = await notified(plane)
            seconds = loop.time() - began
    assert end.status is Status.COMPLETED
    assert proxy.suffered[fault]
    assert seconds < 20  # a silent service takes a client half a minute


async def test_an_earlier_trys_progress_is_true_no_more_when_the_next_one_begins(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    await submit(plane, task_for(plane), "s1")
    await plane.queue.receive(wait_seconds=5, visibility_seconds=0)
    runtime.latency_seconds = 1.5
    async with working(settings_for(plane, runtime.url, progress_seconds=30.0)):
        assert await progress_when_told(plane, "s1") == Progress(value=0.0)
        await notified(plane)
