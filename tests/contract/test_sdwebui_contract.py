"""The SD Web UI adapter keeps the contract of all adapters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from darkroom.runtimes.contract import PATIENCE_SECONDS, RuntimeContract, RuntimeHarness
from darkroom.runtimes.protocol import GenerationRequest, InputFile, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.runtimes.sdwebui.door import Timings
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault

LINK = "https://example.com/cat.png"


class SdWebuiHarness(RuntimeHarness):
    def __init__(self, fake: FakeSdWebui, http: aiohttp.ClientSession) -> None:
        self.fake = fake
        timings = Timings(progress_interval=0.05, interrupt_interval=0.05, interrupt_patience=5)
        self.runtime = SdWebui(RuntimeContext(f"{fake.url}/sdapi/v1/", http), timings)

    def request(self, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> GenerationRequest:
        content = {"prompt": "a cat", "width": 64, "height": 64, "seed": 1, "alwayson_scripts": {}}
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, content, timeout_seconds)

    def bad_request(self, task_id: str) -> GenerationRequest:
        content = {"prompt": "a cat", "sampler_name": "Nope"}
        return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, content, PATIENCE_SECONDS)

    def link_request(self, task_id: str) -> GenerationRequest:
        content = {"prompt": "a cat", "width": 64, "height": 64, "init_images": [LINK]}
        files = {LINK: InputFile(LINK, pictures.plain(0), "image/png", "png")}
        return GenerationRequest(task_id, TaskKind.IMAGE_TO_IMAGE, content, PATIENCE_SECONDS, files)

    def received(self) -> str:
        return json.dumps(self.fake.requests)

    def set_latency(self, seconds: float) -> None:
        self.fake.latency_seconds = seconds

    def fail_next(self) -> None:
        self.fake.faults.append(SdWebuiFault.ERROR)

    def hang_next(self) -> None:
        self.fake.faults.append(SdWebuiFault.HANG)

    def crash_next(self) -> None:
        self.fake.faults.append(SdWebuiFault.CRASH)

    def is_generating(self) -> bool:
        return self.fake.job.count > 0

    async def restart(self) -> None:
        await self.fake.start()


class TestSdWebui(RuntimeContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[SdWebuiHarness]:
        async with FakeSdWebui() as fake, aiohttp.ClientSession() as http:
            harness = SdWebuiHarness(fake, http)
            yield harness
            await harness.runtime.close()
