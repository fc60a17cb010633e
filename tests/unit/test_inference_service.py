"""The built-in runtime's state: what goes through the device, and what does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from darkroom.errors import InvalidRequest
from darkroom.inference.engine import Generation, Watch
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.requests import TextToImageBody
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling

DEADLINE = 5.0


class SavedLate(Image.Image):
    """A picture that is written to a file only once something has happened."""

    may_be_saved: Callable[[], bool]

    def save(self, *arguments: Any, **named: Any) -> None:
        assert self.may_be_saved()
        super().save(*arguments, **named)


class TwoPictures(PocketEngine):
    """Its first picture can be saved once the second is begun."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self._second = threading.Event()
        self._begun = 0

    def generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        self._begun += 1
        if self._begun == 2:
            self._second.set()
        picture = SavedLate()
        picture.__dict__.update(Image.new("RGB", (8, 8)).__dict__)
        picture.may_be_saved = lambda: self._second.wait(DEADLINE)
        return [picture]


async def nobody_left() -> bool:
    return False


async def test_the_next_picture_is_made_while_the_last_is_encoded() -> None:
    service = Service(TwoPictures(), Upscaling(None, SpandrelScaler()))
    await service.start()
    try:
        async with asyncio.timeout(2 * DEADLINE):
            made = await asyncio.gather(
                *(service.generate("txt2img", TextToImageBody(prompt="a dog"), nobody_left) for _ in range(2))
            )
    finally:
        service.close()
    assert [len(result.images) for result in made if result is not None] == [1, 1]


async def test_an_engine_without_refiners_refuses_one() -> None:
    service = Service(PocketEngine(threads=1), Upscaling(None, SpandrelScaler()))
    await service.start()
    asked = TextToImageBody(prompt="a dog", steps=1, refiner_switch_at=0.5)
    try:
        with pytest.raises(InvalidRequest, match="leave refiner_checkpoint out"):
            await service.generate(
                "txt2img", asked.model_copy(update={"refiner_checkpoint": "some.safetensors"}), nobody_left
            )
        for none in (None, "", "None"):
            assert await service.generate("txt2img", asked.model_copy(update={"refiner_checkpoint": none}), nobody_left)
    finally:
        service.close()
