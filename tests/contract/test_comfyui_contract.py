"""The ComfyUI adapter keeps the contract of all adapters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from darkroom.runtimes.comfyui.adapter import ComfyUi, Timings
from darkroom.runtimes.contract import PATIENCE_SECONDS, RuntimeContract, RuntimeHarness
from darkroom.runtimes.protocol import GenerationRequest, InputFile, RuntimeContext
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.comfyui_executor import ComfyUiFault
from darkroom.testing.comfyui_nodes import image_to_image_workflow, text_to_image_workflow
from darkroom.testing.fake_comfyui import FakeComfyUi

LINK = "https://example.com/cat.png"


class ComfyUiHarness(RuntimeHarness):
    def __init__(self, fake: FakeComfyUi, http: aiohttp.ClientSession) -> None:
        self.fake = fake
        timings = Timings(poll_interval=0.2, quick_poll_interval=0.02, stop_interval=0.02, stop_patience=5)
        self.runtime = ComfyUi(RuntimeContext(fake.url, http), timings)
        self._seeds: dict[str, int] = {}

    def request(self, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> GenerationRequest:
        seed = self._seeds.setdefault(task_id, len(self._seeds))
        return GenerationRequest(task_id, TaskKind.PIPELINE, text_to_image_workflow(seed=seed), timeout_seconds)

    def bad_request(self, task_id: str) -> GenerationRequest:
        content = text_to_image_workflow(checkpoint="missing.safetensors")
        return GenerationRequest(task_id, TaskKind.PIPELINE, content, PATIENCE_SECONDS)

    def link_request(self, task_id: str) -> GenerationRequest:
        files = {LINK: InputFile(LINK, pictures.plain(0), "image/png", "png")}
        return GenerationRequest(task_id, TaskKind.PIPELINE, image_to_image_workflow(LINK), PATIENCE_SECONDS, files)

    def received(self) -> str:
        return json.dumps(self.fake.submitted)

    def set_latency(self, seconds: float) -> None:
        self.fake.executor.latency_seconds = seconds

    def fail_next(self) -> None:
        self.fake.faults.append(ComfyUiFault.ERROR)

    def hang_next(self) -> None:
        self.fake.faults.append(ComfyUiFault.HANG)

    def crash_next(self) -> None:
        self.fake.faults.append(ComfyUiFault.CRASH)

    def is_generating(self) -> bool:
        return self.fake.running is not None

    async def restart(self) -> None:
        await self.fake.start()


class TestComfyUi(RuntimeContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[ComfyUiHarness]:
        async with FakeComfyUi() as fake, aiohttp.ClientSession() as http:
            harness = ComfyUiHarness(fake, http)
            yield harness
            await harness.runtime.close()
