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
from darkroom.inference import extras
from darkroom.inference.checking import check, check_amount, find_checkpoint
from darkroom.inference.codec import Codec
from darkroom.inference.device import Device, Job
from darkroom.inference.drawing import Drawn, Made, draw
from darkroom.inference.engine import Engine
from darkroom.inference.metrics import Metrics
from darkroom.inference.options import Options
from darkroom.inference.pictures import encode_picture
from darkroom.inference.planning import plan
from darkroom.inference.reading import Pictures, Received, read_notes, receive_picture, receive_pictures
from darkroom.inference.requests import ExtrasBody, GenerationBody, ImageToImageBody, TextToImageBody
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
        self.codec = Codec()
        self._preview: tuple[Callable[[], Image.Image], asyncio.Future[bytes]] | None = None
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
        """Stop what runs and end the threads."""
        self.device.close()
        self.codec.close()

    async def generate(self, kind: str, body: GenerationBody, gone: Gone) -> Made | None:
        """Text or image to image. None when the client has left meanwhile."""
        check(body, self.engine)  # what is wrong anyway is said at once, not after the wait for the device
        pictures = await self.codec.read(lambda: self._received(body))
        check_amount(body, pictures)
        drawn = await self._measured(
            kind, lambda job: self._generate(body, pictures, job), gone, lambda made: len(made.files)
        )
        return await drawn.written() if drawn is not None else None  # the device is free already

    async def enlarge(
        self, kind: str, body: ExtrasBody, texts: dict[str, str | None], gone: Gone
    ) -> list[bytes] | None:
        """Upscaling of pictures in base64, by their paths. Returns files; None when the client has left meanwhile."""
        extras.check(body)
        options = self.options()

        def receive() -> tuple[Received, ...]:
            for name in extras.upscalers(body):
                self.upscaling.check(name)
            return receive_pictures(texts)

        pictures = await self.codec.read(receive)
        extras.check_amount(body, pictures, options.samples_format)
        files = await self._measured(
            kind,
            lambda job: extras.enlarge_all(body, pictures, self.upscaling, self.codec, job, options),
            gone,
            len,
        )
        return [await asyncio.wrap_future(file) for file in files] if files is not None else None

    async def notes(self, text: str | None) -> tuple[str, dict[str, Any]]:
        """The infotext and the other texts in a picture in base64. Raises `InvalidRequest`."""
        return await self.codec.read(lambda: read_notes(text, "image"))

    async def preview(self) -> bytes | None:
        """A picture of the running job's latest step; None when there is none.

        However many ask, one is made at a time, and each once.
        """
        make = self.device.preview
        if make is None:
            return None
        if self._preview is None or (self._preview[0] is not make and self._preview[1].done()):
            made = asyncio.ensure_future(self.codec.read(lambda: encode_picture(make())))
            self._preview = (make, made)
        try:
            return await asyncio.shield(self._preview[1])
        except Exception as error:  # a model that is just leaving the device; the next step has another
            log(logging.WARNING, "runtime.preview_failed", f"no preview could be made: {error}")
            return None

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

    def _generate(self, body: GenerationBody, pictures: Pictures, job: Job) -> Drawn:
        # Read on the device's thread, so that it sees the models and options that the jobs before it left.
        planned = plan(body, pictures, self.engine, self._options, self._chance)
        self._ensure_loaded()
        before = self.engine.loaded()
        try:
            if planned.checkpoint is not None:
                self.engine.load(find_checkpoint(self.engine, planned.checkpoint))
            if planned.options.sd_vae != self._options.sd_vae:
                self.engine.use_vae(planned.options.sd_vae)
            return draw(planned, self.engine, self.upscaling, self.codec, job, self._clocks.now)
        finally:
            if body.override_settings_restore_afterwards:
                if planned.options.sd_vae != self._options.sd_vae:
                    self.engine.use_vae(self._options.sd_vae)
                if planned.checkpoint is not None and before is not None:
                    self.engine.load(before)
            else:
                self._options = self._options.changed(body.override_settings or {})

    def _received(self, body: GenerationBody) -> Pictures:
        """What a request brings along, and whether there is the upscaler that it names. On a reader's thread."""
        if isinstance(body, TextToImageBody) and body.enable_hr and not (body.hr_upscaler or "").startswith("Latent"):
            self.upscaling.check(body.hr_upscaler or "None")
        return _pictures(body)

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


def _pictures(body: GenerationBody) -> Pictures:
    if not isinstance(body, ImageToImageBody):
        return Pictures()
    inits = receive_pictures({f"init_images.{index}": text for index, text in enumerate(body.init_images or ())})
    return Pictures(inits, receive_picture(body.mask, "mask") if body.mask else None)
