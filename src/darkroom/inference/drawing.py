"""Runs a plan on the engine, and hands every picture to be written while the next one is made."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from PIL import Image

from darkroom.errors import NotFound
from darkroom.inference.codec import Codec
from darkroom.inference.device import Job
from darkroom.inference.engine import Engine, Generation, Source
from darkroom.inference.infotext import information, infotext
from darkroom.inference.options import Options
from darkroom.inference.pictures import encode_picture, fitting, grid_of, holding
from darkroom.inference.planning import Plan, SecondPass
from darkroom.inference.upscaling import Upscaling


@dataclass(frozen=True, slots=True)
class Made:
    """The answer's parts: pictures as files, a grid first where one was asked for, and its `info`."""

    images: list[bytes]
    info: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the device has made; its files are being written."""

    files: list[Future[bytes]]
    info: str

    async def written(self) -> Made:
        """Wait for the files."""
        return Made([await asyncio.wrap_future(file) for file in self.files], self.info)


def draw(
    plan: Plan, engine: Engine, upscaling: Upscaling, codec: Codec, job: Job, now: Callable[[], datetime]
) -> Drawn:
    """Run a plan on the engine, on the device's thread. An interrupted job returns what it has."""
    started = now()
    checkpoint = engine.loaded()
    if checkpoint is None:
        raise NotFound("no model is loaded")
    files: list[Future[bytes]] = []
    texts: list[str] = []
    for_grid: list[Image.Image] = []
    extra: dict[str, Any] = dict(plan.second.told) if plan.second is not None else {}
    for number, generation in enumerate(plan.rounds):
        if not job.begin_round(number, len(plan.rounds)):
            break
        # With a second pass the refiner has its turn there, as in SD Web UI.
        made = engine.generate(generation if plan.second is None else replace(generation, refiner=None), job)
        if plan.second is not None and not job.interrupted:
            made = _second(generation, plan.second, made, engine, upscaling, job)
        for index, picture in enumerate(made):
            finished = plan.prepared.finish(index, picture) if plan.prepared is not None else picture
            texts.append(infotext(generation, index, checkpoint, extra))
            files.append(_write(codec, finished, texts[-1], plan.options))
            if plan.grid:
                for_grid.append(finished)
    gridded = len(for_grid) > 1
    if gridded:
        files.insert(0, _write_grid(codec, for_grid, texts[0], plan.options))
    shown = [texts[0], *texts] if gridded else texts
    warnings = [*plan.warnings, *_shortened(texts, plan.options)]
    return Drawn(files, information(list(plan.rounds), checkpoint, shown, started, int(gridded), extra, warnings))


def _shortened(texts: list[str], options: Options) -> list[str]:
    if not options.enable_pnginfo or not any(fitting(text, options.samples_format)[1] for text in texts):
        return []
    return [
        f"the text inside the pictures lost the end of its prompts, since {options.samples_format} has room for 64 KiB "
        "of it; all of it stands in info.infotexts"
    ]


def _write(codec: Codec, picture: Image.Image, text: str, options: Options) -> Future[bytes]:
    written = text if options.enable_pnginfo else None
    return codec.write(
        math.prod(picture.size),
        lambda: encode_picture(picture, options.samples_format, written, options.jpeg_quality),
    )


def _write_grid(codec: Codec, pictures: list[Image.Image], text: str, options: Options) -> Future[bytes]:
    def work() -> bytes:
        grid = grid_of(pictures)
        return encode_picture(grid, holding(options.grid_format, *grid.size), text)

    return codec.write(2 * sum(math.prod(picture.size) for picture in pictures), work)


def _second(
    generation: Generation,
    second: SecondPass,
    pictures: list[Image.Image],
    engine: Engine,
    upscaling: Upscaling,
    job: Job,
) -> list[Image.Image]:
    enlarged = tuple(upscaling.upscale(second.upscaler, picture, second.width, second.height) for picture in pictures)
    again = replace(
        generation,
        width=second.width,
        height=second.height,
        steps=second.steps,
        sampler=second.sampler,
        scheduler=second.scheduler,
        prompts=(second.prompt,) * len(generation.seeds),
        negative_prompts=(second.negative_prompt,) * len(generation.seeds),
        source=Source(enlarged, second.strength),
    )
    return engine.generate(again, job)
