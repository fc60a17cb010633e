"""The built-in runtime's state: what goes through the device, and what does not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from darkroom.errors import InvalidRequest
from darkroom.inference.codec import Codec
from darkroom.inference.engine import Generation, Watch
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.problems import problem
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


class Previewing(PocketEngine):
    """Stops at its first step until it is told to go on, and counts how often a preview of that step is made."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.stepped, self.go_on = threading.Event(), threading.Event()
        self.made = 0

    def generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        def preview() -> Image.Image:
            self.made += 1
            return Image.new("RGB", (8, 8))

        watch.step(1, 2, preview)
        self.stepped.set()
        assert self.go_on.wait(DEADLINE)
        return [Image.new("RGB", (8, 8))]


async def test_a_preview_is_made_once_however_many_ask_for_it() -> None:
    engine = Previewing()
    service = Service(engine, Upscaling(None, SpandrelScaler()))
    await service.start()
    try:
        async with asyncio.timeout(2 * DEADLINE):
            running = asyncio.create_task(service.generate("txt2img", TextToImageBody(prompt="a dog"), nobody_left))
            assert await asyncio.to_thread(engine.stepped.wait, DEADLINE)
            together = await asyncio.gather(*(service.preview() for _ in range(20)))
            assert await service.preview() == together[0]
            assert together[0] is not None
            engine.go_on.set()
            await running
        assert engine.made == 1
        assert await service.preview() is None
    finally:
        service.close()


def test_the_device_waits_while_too_many_pixels_wait_to_be_written() -> None:
    codec = Codec(threads=4, pixels=100)
    may_end, fourth = threading.Event(), threading.Event()
    files = [codec.write(pixels, lambda: may_end.wait(DEADLINE)) for pixels in (40, 60)]

    def device() -> None:
        files.append(codec.write(1, lambda: True))
        fourth.set()

    beside = threading.Thread(target=device)
    beside.start()
    try:
        assert not fourth.wait(0.05)
        may_end.set()
        assert fourth.wait(DEADLINE)
    finally:
        may_end.set()
        beside.join(DEADLINE)
    assert [file.result(DEADLINE) for file in files] == [True] * 3
    # One that is larger than all that may wait is written alone.
    assert codec.write(1000, lambda: True).result(DEADLINE)
    codec.close()


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


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cannot read <_io.BytesIO object at 0x7f12ab>", "cannot read <_io.BytesIO>"),
        ("a fault\nTraceback (most recent call last):\n  File 'x.py', line 3", "a fault"),
        ("\N{SNOWMAN}" * 10_000, "\N{SNOWMAN}" * 4000),
    ],
)
def test_no_answer_shows_an_object_or_a_traceback(said: str, shown: str) -> None:
    answer = json.loads(bytes(problem(500, "RuntimeError", said, said).body))
    assert answer == {"error": "RuntimeError", "detail": shown, "body": "", "errors": shown}
