"""The device of a fake SD Web UI, one request at a time: its models, its options, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

from aiohttp import web

from darkroom.testing import pictures
from darkroom.testing.loopback import LoopbackServer, cut
from darkroom.testing.sdwebui_answers import Answer, infotext, server_error
from darkroom.testing.sdwebui_state import Checkpoint, Checkpoints, Job, default_options

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"


class SdWebuiFault(StrEnum):
    """What the next generation suffers."""

    CRASH = "crash"  # the server dies and does not come back by itself
    CUT = "cut"  # the connection is cut in the middle; the server lives
    HANG = "hang"  # no answer until somebody interrupts
    DEAF = "deaf"  # no answer at all, and no interrupt helps
    ERROR = "error"  # 500 in the server's own shape
    WRONG_MODEL = "wrong-model"  # 200 with a picture made by another model
    PARTIAL = "partial"  # 200 with one picture too few, as after an interrupt by somebody else
    GARBAGE = "garbage"  # 200 with a proxy's HTML
    DEVICE_LOST = "device-lost"  # 500 now and on every later request, until a restart


class FakeDevice(LoopbackServer):
    """What every handler of the server works with; `darkroom.testing.fake_sdwebui` says what the dials are."""

    def __init__(
        self,
        *,
        port: int = 0,
        models: Sequence[Checkpoint | str] = (DEFAULT_MODEL,),
        latency_seconds: float = 0.0,
        switch_seconds: float = 0.0,
        startup_seconds: float = 0.0,
        loads_late: bool = False,
        credentials: tuple[str, str] | None = None,
        plain_bytes: int | None = None,
        fault_for: Callable[[dict[str, Any]], SdWebuiFault | None] | None = None,
        version: str = "1.8.0",
        memory_pixels: int | None = None,
    ) -> None:
        super().__init__(port)
        self.version = version
        self.memory_pixels = memory_pixels
        self.fault_for = fault_for
        self.latency_seconds = latency_seconds
        self.switch_seconds = switch_seconds
        self.startup_seconds = startup_seconds
        self.loads_late = loads_late
        self.authorization = _basic_authorization(*credentials) if credentials else None
        self.faults: deque[SdWebuiFault] = deque()
        self.requests: list[dict[str, Any]] = []
        self.interrupts = 0
        self.switches = 0
        self.busy_seconds = 0.0
        self.checkpoints = Checkpoints([Checkpoint(model) if isinstance(model, str) else model for model in models])
        self.options = default_options(self.checkpoints.current.title)
        # The keys that the server's configuration file holds: only these are restored after an override.
        self.configured = {"sd_model_checkpoint"}
        self.job = Job()
        # Upscalers that enlarge with Lanczos in truth; the list of them shows where their weights could be had.
        self.without_weights: set[str] = set()
        self._conditioned: object = None
        # Encoded once, so that a load test measures its subject and not this server.
        self._plain = (
            base64.b64encode(pictures.plain_to_mark(plain_bytes)).decode() if plain_bytes is not None else None
        )
        self._device = asyncio.Lock()
        self._interrupted = asyncio.Event()
        self._started_at = time.monotonic()

    async def start(self) -> None:
        """Listen; the model is loaded `startup_seconds` later, and a lost device is back."""
        self._started_at = time.monotonic()
        self.checkpoints.device_lost = self.checkpoints.is_broken = False
        self._conditioned = None
        self._device, self._interrupted = asyncio.Lock(), asyncio.Event()
        self.job = Job()
        await super().start()

    async def _suffer(self, request: web.Request, body: dict[str, Any]) -> SdWebuiFault | None:
        """Take the next fault off the dial; those that prevent a generation happen here."""
        fault = self.faults.popleft() if self.faults else self.fault_for(body) if self.fault_for else None
        if fault is SdWebuiFault.CRASH:
            task = asyncio.ensure_future(self.crash())
            await asyncio.sleep(3600)  # until the crash takes this request with it
            await task
        if fault is SdWebuiFault.CUT:
            cut(request)  # and go on, as the real one does
        if fault is SdWebuiFault.DEVICE_LOST:
            self.checkpoints.device_lost = True
        if self.checkpoints.device_lost:
            raise server_error(500, "AssertionError", errors="Torch not compiled with CUDA enabled")
        if fault is SdWebuiFault.ERROR:
            raise server_error(500, "OutOfMemoryError", errors="CUDA out of memory. Tried to allocate 2.00 GiB")
        if fault is SdWebuiFault.GARBAGE:
            raise Answer(web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html"))
        return fault

    async def _override(self, body: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        """Apply the request's own settings; returns what restores them, as far as the server does."""
        overrides = dict(body.get("override_settings") or {})
        wanted = overrides.pop("sd_model_checkpoint", None)
        before = {name: self.options[name] for name in overrides if name in self.configured}
        self.options.update(overrides)
        self.configured.update(overrides)  # the next override is restored to this one
        previous = self.checkpoints.current
        checkpoint = self.checkpoints.find(wanted) if wanted is not None else None
        if checkpoint is not None:  # an unknown name changes nothing, silently
            await self._load(checkpoint)

        async def restore() -> None:
            if body.get("override_settings_restore_afterwards", True):
                self.options.update(before)
                await self._load(previous)

        return restore

    async def _use_refiner(self, body: dict[str, Any]) -> None:
        name = body.get("refiner_checkpoint")
        if name is None:
            return
        checkpoint = self.checkpoints.find(name)
        if checkpoint is None:
            raise server_error(500, "Exception", errors=f"Could not find checkpoint with name {name}")
        if checkpoint.corrupt:
            await self._load(checkpoint)

    def _condition(self, body: dict[str, Any]) -> None:
        """Turn the prompt into numbers; those of the last one are kept, and need no working model."""
        prompt = body.get("prompt")
        if self.checkpoints.is_broken and prompt != self._conditioned:
            raise server_error(500, "AssertionError", errors="Torch not compiled with CUDA enabled")
        self._conditioned = prompt

    async def _load(self, checkpoint: Checkpoint) -> None:
        if checkpoint is self.checkpoints.current:
            return
        if checkpoint.corrupt:
            self.checkpoints.is_broken = True
            raise server_error(500, "SafetensorError", errors="Error while deserializing header: HeaderTooLarge")
        await asyncio.sleep(self.switch_seconds)
        self.checkpoints.load(checkpoint)
        self.options["sd_model_checkpoint"] = checkpoint.title
        self.switches += 1

    async def _work(self, name: str, rounds: int, steps: int, fault: SdWebuiFault | None) -> int:
        """Keep the device busy for `rounds` times the latency; returns how many rounds were finished."""
        self._interrupted.clear()
        started_at = time.monotonic()
        stamp = time.strftime("%Y%m%d%H%M%S")
        self.job = Job(name, rounds, 0, steps, started_at, rounds * self.latency_seconds, stamp)
        try:
            if fault is SdWebuiFault.DEAF:
                await asyncio.sleep(3600)
            for number in range(rounds):
                self.job.number = number
                duration = None if fault is SdWebuiFault.HANG else self.latency_seconds
                if duration == 0:
                    continue
                try:
                    await asyncio.wait_for(self._interrupted.wait(), duration)
                except TimeoutError:
                    continue
                return number
            return rounds
        finally:
            self.job.name, self.job.count, self.job.number = "", 0, 1
            self.busy_seconds += time.monotonic() - started_at

    def _paint(
        self, body: dict[str, Any], seeds: Sequence[int | None], initial: Sequence[Any] | None, model: Checkpoint
    ) -> list[str]:
        # The latent picture has an eighth of the size, and no fractions.
        width, height = (body.get("width") or 512) // 8 * 8, (body.get("height") or 512) // 8 * 8
        prompt = str(body.get("prompt") or "")
        file_format = {"jpeg": "jpg"}.get(self.options["samples_format"], self.options["samples_format"])
        images = []
        for seed in (seed or 0 for seed in seeds):
            if initial:
                picture = pictures.over(initial[0], width, height, seed, prompt)
            else:
                picture = pictures.paint(width, height, seed, prompt)
            facts = infotext(body, seed, model.model_name, model.sha256[:10], self.version)
            images.append(base64.b64encode(pictures.encode(picture, file_format, facts)).decode())
        return images

    @property
    def _seconds_to_model(self) -> float:
        return max(0.0, self._started_at + self.startup_seconds - time.monotonic())

    async def _wait_for_model(self) -> None:
        await asyncio.sleep(self._seconds_to_model)


def _basic_authorization(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
