"""The adapter against a real SD Web UI of release 1.10, where somebody has one: any checkpoint will do, and a CPU.

    DARKROOM_TEST_SDWEBUI=localhost:7860 pytest tests/contract/test_real_sdwebui.py

Start it with `--api`. What it is held against was recorded from 1.10.1, with `--nowebui --use-cpu all`. Two tests make
it sick, for the adapter's remedies to heal it: name none that others use.
"""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from PIL import Image

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    RequestSuspected,
    RuntimeFailure,
)
from darkroom.policy.media_types import PNG, MediaType, recognise
from darkroom.runtimes.contract import generate
from darkroom.runtimes.protocol import Generation, GenerationRequest, InputFile, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures

ADDRESS = os.environ.get("DARKROOM_TEST_SDWEBUI", "")
LINK = "https://example.com/cat.png"
PATIENCE_SECONDS = 300.0
pytestmark = pytest.mark.skipif(not ADDRESS, reason="DARKROOM_TEST_SDWEBUI names no server")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def adapter(http: aiohttp.ClientSession) -> AsyncIterator[SdWebui]:
    made = SdWebui(RuntimeContext(ADDRESS, http))
    await made.check_ready()
    yield made
    await made.close()


def asking(timeout: float = PATIENCE_SECONDS, **content: Any) -> GenerationRequest:
    """A small picture of a prompt that is never in the server's cache."""
    body = {"prompt": f"a cat {uuid.uuid4().hex}", "width": 64, "height": 64, "steps": 2, "seed": 7, **content}
    return GenerationRequest("one", TaskKind.TEXT_TO_IMAGE, body, timeout)


def types(generation: Generation) -> list[MediaType | None]:
    return [recognise(output.body) for output in generation.outputs if isinstance(output.body, bytes)]


def plot(*flags: bool) -> list[Any]:
    return [1, "1,2", [], 0, "", [], 0, "", [], True, *flags, False, False, False, False, False, 0, False]


async def heal(adapter: SdWebui) -> None:
    """Apply the remedies as the agent does, until the canary comes out well."""
    for remedy in adapter.remedies():
        if await remedy.apply():
            try:
                await adapter.canary()
            except RuntimeFailure:
                continue
            return
    pytest.fail("none of the remedies has healed the server; it needs a restart")


async def test_pictures_and_the_grid_that_comes_with_saved_ones(adapter: SdWebui) -> None:
    assert types(await generate(adapter, asking(batch_size=2))) == [PNG, PNG]
    with_grid = await generate(adapter, asking(batch_size=2, save_images=True))
    assert [output.is_extra for output in with_grid.outputs] == [False, False, True]


async def test_a_picture_by_link(adapter: SdWebui) -> None:
    data = pictures.encode(Image.new("RGB", (64, 64), "red"))
    content = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "init_images": [LINK]}
    files = {LINK: InputFile(LINK, data, "image/png", "png")}
    request = GenerationRequest("one", TaskKind.IMAGE_TO_IMAGE, content, PATIENCE_SECONDS, files)
    assert types(await generate(adapter, request)) == [PNG]


async def test_upscaling(adapter: SdWebui) -> None:
    picture = base64.b64encode(pictures.encode(Image.new("RGB", (16, 8)))).decode()
    content = {"image": picture, "upscaler_1": "Lanczos", "upscaling_resize": 2}
    request = GenerationRequest("one", TaskKind.EXTRA_SINGLE_IMAGE, content, PATIENCE_SECONDS)
    (output,) = (await generate(adapter, request)).outputs
    assert isinstance(output.body, bytes)
    assert pictures.decode(output.body).size == (32, 16)


async def test_the_canary_sings_every_time_and_the_server_is_remembered(adapter: SdWebui) -> None:
    for _ in range(3):
        assert await adapter.canary()
    assert await adapter.lived_on(await adapter.prepare(asking()))


@pytest.mark.parametrize(
    "content",
    [
        {"width": 0},
        {"height": -8},
        {"steps": -1},
        {"refiner_checkpoint": "nope", "refiner_switch_at": 0.5},
        {"enable_hr": True, "denoising_strength": 0.5, "hr_upscaler": "nope"},
        {"script_name": "nope"},
        {"sampler_name": "Nope 9000"},
        {"sampler_name": "euler a"},
        {"sampler_name": "Euler a", "scheduler": "nope"},
        {"steps": "many"},
    ],
)
async def test_what_only_the_request_can_have_caused_is_refused(content: dict[str, Any], adapter: SdWebui) -> None:
    with pytest.raises(GenerationRefused):
        await generate(adapter, asking(**content))
    assert await adapter.canary()


@pytest.mark.parametrize(
    "content",
    [{"width": None}, {"prompt": None}, {"seed": 2**80}, {"batch_size": 0}, {"override_settings": {"nope": 1}}],
)
async def test_what_a_request_is_suspected_of_leaves_the_server_well(content: dict[str, Any], adapter: SdWebui) -> None:
    with pytest.raises(RequestSuspected):
        await generate(adapter, asking(**content))
    assert await adapter.canary()


@pytest.mark.parametrize(
    "content",
    [
        {"sampler_name": "Euler a"},
        {"sampler_name": "DPM++ 2M Karras"},
        {"sampler_name": "DPM++ 2M Karras", "scheduler": "Exponential"},
        {"sampler_name": "Euler a", "scheduler": "sgm_uniform"},
        {"sampler_name": "DPM++ 2M", "scheduler": "Automatic"},
        {"sampler_index": "DDIM"},
    ],
)
async def test_names_that_the_server_knows_are_no_fault(content: dict[str, Any], adapter: SdWebui) -> None:
    assert (await generate(adapter, asking(**content))).warnings == ()


async def test_a_size_that_is_rounded_is_told(adapter: SdWebui) -> None:
    (warning,) = (await generate(adapter, asking(width=100))).warnings
    assert "96x64" in warning


@pytest.mark.parametrize(("flags", "expected"), [((False, False), [False]), ((True, False), [False, False, True])])
async def test_a_plot_is_one_grid_or_its_cells(
    flags: tuple[bool, bool], expected: list[bool], adapter: SdWebui
) -> None:
    generation = await generate(adapter, asking(script_name="x/y/z plot", script_args=plot(*flags)))
    assert [output.is_extra for output in generation.outputs] == expected


async def test_an_option_that_an_override_left_behind_is_set_back(adapter: SdWebui) -> None:
    with pytest.raises(RequestSuspected):
        await generate(adapter, asking(override_settings={"eta_noise_seed_delta": "x"}))
    try:
        await adapter.canary()  # its configuration file may have the option: then nothing stays behind
    except RuntimeFailure:
        await heal(adapter)
    assert await adapter.canary()


async def test_a_model_that_cannot_be_read_is_healed_by_another_one(
    adapter: SdWebui, http: aiohttp.ClientSession
) -> None:
    """Needs a second checkpoint that can be read, and `corrupt.safetensors`, which cannot, beside the first."""
    async with http.get(f"http://{ADDRESS}/sdapi/v1/sd-models") as response:
        names = {model["model_name"] for model in await response.json()}
    if "corrupt" not in names or len(names) < 3:
        pytest.skip("the server has no corrupt.safetensors, or no second model")
    with pytest.raises(GenerationFailed):
        await generate(adapter, asking(refiner_checkpoint="corrupt", refiner_switch_at=0.5))
    with pytest.raises(RuntimeFailure):
        await adapter.canary()
    await heal(adapter)
    assert types(await generate(adapter, asking())) == [PNG]


async def test_interrupting_the_running_one_of_two(adapter: SdWebui) -> None:
    first, second = [await adapter.prepare(asking(n_iter=50)), await adapter.prepare(asking())]
    runs = [asyncio.create_task(adapter.run(prepared, lambda _: None)) for prepared in (first, second)]
    async with asyncio.timeout(60):
        while await adapter.progress() is None:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.02)
    await adapter.interrupt(first)
    with pytest.raises(GenerationInterrupted):
        await runs[0]
    assert types(await adapter.collect(await runs[1])) == [PNG]


async def test_what_takes_too_long_is_stopped(adapter: SdWebui) -> None:
    with pytest.raises(GenerationTimeout):
        await generate(adapter, asking(timeout=1.0, n_iter=500))
    assert await adapter.progress() is None
