"""The runtime's state and what its routes do: one engine, one device, one set of options."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from PIL import Image

from darkroom.errors import DarkroomError
from darkroom.inference.device import Device, Job
from darkroom.inference.engine import Engine
from darkroom.inference.extras import enlarge
from darkroom.inference.generating import Drawn, Made, check, draw, encode, find_checkpoint, plan
from darkroom.inference.metrics import Metrics
from darkroom.inference.options import Options
from darkroom.inference.requests import ExtrasBody, GenerationBody
from darkroom.inference.upscaling import Upscaling
from darkroom.logs import log

T = TypeVar("T")
Gone = Callable[[], Awaitable[bool]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time and chance, passed in so that tests can hold them."""

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic


class Service:
    """What the routes call. Everything that touches the engine goes through the device."""

    def __init__(
        self,
        engine: Engine,
        upscaling: Upscaling,
        *,
        first_model: str | None = None,
        clocks: Clocks | None = None,
        chance: random.Random | None = None,
        max_waiting: int = 64,
    ) -> None:
        clocks = clocks if clocks is not None else Clocks()
        self.engine = engine
        self.upscaling = upscaling
        self.metrics = Metrics()
        self.device = Device(clocks.now, clocks.monotonic, max_waiting)
        self._clocks = clocks
        self._chance = chance if chance is not None else random.Random()  # noqa: S311 - seeds are no secrets
        self._options = Options()
        self._first_model = first_model
        self._started = False

    @property
    def ready(self) -> bool:
        """Whether the first model has been loaded; requests sent earlier wait for it."""
        return self._started

    async def start(self) -> None:
        """Find models and load the first. When there is none, or it is broken, the server runs all the same."""
        try:
            await self.device.run("start", lambda job: self._load_first())
            self.device.forget()
        except DarkroomError as error:
            log(logging.ERROR, "runtime.first_model_failed", f"no model could be loaded: {error}")
        self._started = True

    def close(self) -> None:
        """Stop what runs and end the device's thread."""
        self.device.close()

    async def generate(self, kind: str, body: GenerationBody, gone: Gone) -> Made | None:
        """Text or image to image. None when the client has left meanwhile."""
        check(body, self.engine)  # what is wrong anyway is said at once, not after the wait for the device
        drawn = await self._measured(kind, lambda job: self._generate(body, job), gone, lambda made: len(made.pictures))
        if drawn is None:
            return None
        return await asyncio.to_thread(encode, drawn)  # the device is free already

    async def enlarge(
        self, kind: str, body: ExtrasBody, pictures: list[Image.Image], gone: Gone
    ) -> list[Image.Image] | None:
        """Upscaling. None when the client has left meanwhile."""
        return await self._measured(
            kind, lambda job: [enlarge(body, picture, self.upscaling) for picture in pictures], gone, len
        )

    def options(self) -> Options:
        """The options as they are now."""
        loaded = self.engine.loaded()
        if loaded is None:
            return self._options
        return replace(self._options, sd_model_checkpoint=loaded.title, sd_checkpoint_hash=loaded.sha256 or "")

    async def set_options(self, values: Mapping[str, Any]) -> None:
        """Change options: all, or when one is wrong none. A model is loaded before this returns.

        Raises `InvalidRequest`, `NotFound` and `ModelUnusable`.
        """
        changed = self._options.changed(values)
        await self.device.run("options", lambda job: self._apply(values, changed))

    async def refresh(self) -> None:
        """Look at the model folders again."""
        await self.device.run("refresh", lambda job: self.engine.refresh())

    async def unload(self) -> None:
        """Free the device's memory."""
        await self.device.run("unload", lambda job: self.engine.unload())

    async def reload(self) -> None:
        """Bring the last model back onto the device."""
        await self.device.run("reload", lambda job: self._ensure_loaded())

    def _generate(self, body: GenerationBody, job: Job) -> Drawn:
        # Read on the device's thread, so that it sees the models and options that the jobs before it left.
        planned = plan(body, self.engine, self._options, self._chance)
        self._ensure_loaded()
        before = self.engine.loaded()
        try:
            if planned.checkpoint is not None:
                self.engine.load(find_checkpoint(self.engine, planned.checkpoint))
            if planned.options.sd_vae != self._options.sd_vae:
                self.engine.use_vae(planned.options.sd_vae)
            return draw(planned, self.engine, self.upscaling, job, self._clocks.now)
        finally:
            if body.override_settings_restore_afterwards:
                if planned.options.sd_vae != self._options.sd_vae:
                    self.engine.use_vae(self._options.sd_vae)
                if planned.checkpoint is not None and before is not None:
                    self.engine.load(before)
            else:
                self._options = self._options.changed(body.override_settings or {})

    def _load_first(self) -> None:
        self.engine.refresh()
        self._ensure_loaded()

    def _ensure_loaded(self) -> None:
        """Raises `NotFound` when there is no model at all, and `ModelUnusable`."""
        if self.engine.loaded() is not None:
            return
        checkpoints = self.engine.checkpoints()
        wanted = self._options.sd_model_checkpoint or self._first_model
        self.engine.load(find_checkpoint(self.engine, wanted or (checkpoints[0].file.name if checkpoints else "")))

    def _apply(self, values: Mapping[str, Any], changed: Options) -> None:
        if "sd_model_checkpoint" in values:
            loaded = self.engine.load(find_checkpoint(self.engine, changed.sd_model_checkpoint))
            changed = replace(changed, sd_model_checkpoint=loaded.file.name)
        if "sd_vae" in values:
            self.engine.use_vae(changed.sd_vae)
        self._options = changed

    async def _measured(
        self, kind: str, work: Callable[[Job], T], gone: Gone, pictures: Callable[[T], int]
    ) -> T | None:
        began: list[float] = []

        def timed(job: Job) -> T:
            began.append(self._clocks.monotonic())
            return work(job)

        outcome = "failed"
        try:
            result = await self.device.run(f"scripts_{kind}", timed, gone)
            outcome = "abandoned" if result is None else "completed"
        finally:
            self.metrics.requests.labels(kind, outcome).inc()
            if began:
                self.metrics.seconds.labels(kind).observe(self._clocks.monotonic() - began[0])
        if result is not None:
            self.metrics.pictures.labels(kind).inc(pictures(result))
        return result
