"""What SD Web UI 1.10 was seen to do otherwise than 1.8, one case for each fact, and what the adapter makes of it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from PIL import Image

from darkroom.errors import GenerationFailed, GenerationInterrupted, GenerationRefused, RequestSuspected
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate
from darkroom.runtimes.protocol import Generation, GenerationRequest, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.runtimes.sdwebui.asked import Asked
from darkroom.runtimes.sdwebui.differences import measure
from darkroom.runtimes.sdwebui.response import read_generation
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.sdwebui_state import Checkpoint

FIRST, SECOND = "first.safetensors", "second.safetensors"
CORRUPT = "corrupt.safetensors"
PLOT = "x/y/z plot"


@pytest.fixture(params=["1.8.0", "1.10.1"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(version=request.param, models=(FIRST, SECOND, Checkpoint(CORRUPT, corrupt=True))) as fake:
        yield fake


@pytest.fixture
async def fake() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(version="1.10.1", models=(FIRST, SECOND, Checkpoint(CORRUPT, corrupt=True))) as fake:
        yield fake


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def adapter_of(fake: FakeSdWebui, http: aiohttp.ClientSession) -> SdWebui:
    return SdWebui(RuntimeContext(fake.url, http))


@pytest.fixture
async def adapter(fake: FakeSdWebui, http: aiohttp.ClientSession) -> AsyncIterator[SdWebui]:
    made = adapter_of(fake, http)
    await made.check_ready()
    yield made
    await made.close()


def asking(**content: Any) -> GenerationRequest:
    body = {"prompt": "a cat", "width": 64, "height": 64, "seed": 7, **content}
    return GenerationRequest("one", TaskKind.TEXT_TO_IMAGE, body, PATIENCE_SECONDS)


def plot(x: tuple[int, str], y: tuple[int, str] = (0, ""), z: tuple[int, str] = (0, ""), *flags: bool) -> list[Any]:
    images, grids = flags or (False, False)
    return [x[0], x[1], [], y[0], y[1], [], z[0], z[1], [], True, images, grids, False, False, False, False, 0, False]


def shown(generation: Generation) -> tuple[int, int]:
    """How many pictures were asked for, and how many came beside them."""
    extras = sum(output.is_extra for output in generation.outputs)
    return len(generation.outputs) - extras, extras


# Samplers and schedules


@pytest.mark.parametrize("name", ["Nope", "euler a", "k_euler_a", "Nope Karras", "Euler a "])
async def test_an_unknown_sampler_is_refused_by_either_release(
    name: str, either: FakeSdWebui, http: aiohttp.ClientSession
) -> None:
    """1.8 says so; 1.10 makes a picture with another one, and echoes the name that was asked for."""
    with pytest.raises(GenerationRefused, match=r"Sampler not found|took 'DPM\+\+ 2M' in its place; it has: Euler"):
        await generate(adapter_of(either, http), asking(sampler_name=name))


@pytest.mark.parametrize(
    "content", [{}, {"sampler_name": "Euler a"}, {"sampler_name": "DPM++ 2M Karras"}, {"sampler_index": "DDIM"}]
)
async def test_a_sampler_that_either_release_has_is_no_fault(
    content: dict[str, Any], either: FakeSdWebui, http: aiohttp.ClientSession
) -> None:
    generation = await generate(adapter_of(either, http), asking(**content))
    assert shown(generation) == (1, 0)
    assert generation.warnings == ()


@pytest.mark.parametrize("scheduler", ["Karras", "karras", "SGM Uniform", "sgm_uniform", "Automatic", ""])
async def test_a_schedule_by_label_or_name_is_no_fault(scheduler: str, adapter: SdWebui) -> None:
    generation = await generate(adapter, asking(sampler_name="Euler a", scheduler=scheduler))
    assert generation.warnings == ()


async def test_a_schedule_in_the_name_gives_way_to_a_field(adapter: SdWebui) -> None:
    generation = await generate(adapter, asking(sampler_name="DPM++ 2M Karras", scheduler="Exponential"))
    assert generation.warnings == ()


@pytest.mark.parametrize("scheduler", ["nope", "SGMUniform"])
async def test_an_unknown_schedule_is_refused(scheduler: str, adapter: SdWebui) -> None:
    with pytest.raises(GenerationRefused, match=r"no scheduler .* took 'Automatic' in its place; it has: Automatic"):
        await generate(adapter, asking(sampler_name="Euler a", scheduler=scheduler))


async def test_a_release_without_schedules_says_nothing_so_we_do(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui() as old:
        (warning,) = (await generate(adapter_of(old, http), asking(scheduler="Karras"))).warnings
    assert "says nothing of the scheduler 'Karras'" in warning


# Sizes


async def test_a_size_that_is_rounded_is_told(either: FakeSdWebui, http: aiohttp.ClientSession) -> None:
    (warning,) = (await generate(adapter_of(either, http), asking(width=100))).warnings
    assert warning == "the picture measures 96x64 pixels, though 100x64 was asked for"


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_a_picture_is_measured_by_its_first_bytes(file_format: str) -> None:
    assert measure(pictures.encode(Image.new("RGB", (123, 45), "red"), file_format)) == (123, 45)
    assert measure(b"\xff\xd8\xff") is None
    assert measure(b"") is None


async def test_an_upscaler_without_weights_is_told(adapter: SdWebui, fake: FakeSdWebui) -> None:
    """The server answers as if it had used them."""
    fake.without_weights = {"ESRGAN_4x"}
    picture = base64.b64encode(pictures.encode(Image.new("RGB", (8, 8)))).decode()
    content = {"image": picture, "upscaling_resize": 2, "upscaler_2": "Lanczos"}
    for upscaler, told in (("ESRGAN_4x", 1), ("Lanczos", 0), ("LDSR", 0)):
        request = GenerationRequest(
            "one", TaskKind.EXTRA_SINGLE_IMAGE, {**content, "upscaler_1": upscaler}, PATIENCE_SECONDS
        )
        warnings = (await generate(adapter, request)).warnings
        assert len(warnings) == told
        assert all("weights of the upscaler 'ESRGAN_4x'" in warning for warning in warnings)


# How many pictures a script makes


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        (PLOT, plot((1, "1,2")), (1, 0)),
        (PLOT, plot((1, "1,2"), (0, ""), (0, ""), True, False), (2, 1)),
        (PLOT, plot((1, "1,2"), (4, "1,2")), (1, 0)),
        (PLOT, plot((1, "1,2"), (4, "1,2"), (6, "5,7"), False, True), (2, 1)),
        (PLOT, plot((1, "1,2"), (4, "1,2"), (6, "5,7"), True, True), (10, 1)),
        ("prompt matrix", [False, False, "positive", "comma", 0], (4, 1)),
        ("prompts from file or textbox", [False, False, "start", "a cat\na dog\na cow"], (3, 0)),
        ("loopback", [3, 0.5, "Linear", "None"], (4, 0)),
    ],
)
async def test_a_script_has_as_many_pictures_as_it_sends(
    script: str, arguments: list[Any], expected: tuple[int, int], adapter: SdWebui
) -> None:
    request = asking(prompt="a cat|old|blue", script_name=script, script_args=arguments)
    assert shown(await generate(adapter, request)) == expected


async def test_cells_that_failed_are_told(adapter: SdWebui) -> None:
    generation = await generate(adapter, asking(script_name=PLOT, script_args=plot((4, "0,2"))))
    assert generation.warnings == ("1 of 2 cells of the grid failed and are blank",)


async def test_a_script_that_made_nothing_was_asked_for_nothing(adapter: SdWebui) -> None:
    with pytest.raises(RequestSuspected, match="'loopback' made no pictures"):
        await generate(adapter, asking(script_name="loopback", script_args=[0, 0.5, "Linear", "None"]))


def test_masks_stand_behind_their_pictures() -> None:
    picture = base64.b64encode(pictures.plain(0)).decode()
    document = {"images": [picture] * 6, "info": '{"all_seeds": [1, 2], "index_of_first_image": 0}'}
    generation = read_generation(document, Asked(pictures_per_seed=3))
    assert [output.path for output in generation.outputs if not output.is_extra] == [("images", 0), ("images", 3)]


def test_without_a_script_fewer_pictures_than_seeds_is_an_interrupt_still() -> None:
    document = {"images": [base64.b64encode(pictures.plain(0)).decode()], "info": '{"all_seeds": [1, 2]}'}
    with pytest.raises(GenerationInterrupted):
        read_generation(document)
    assert len(read_generation(document, Asked(script=PLOT)).outputs) == 1


# What outlives a request


async def test_after_a_model_that_cannot_be_read_cached_prompts_hide_the_fault_from_all_but_the_canary(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    assert (await generate(adapter, asking())).outputs
    with pytest.raises(GenerationFailed, match="SafetensorError"):
        await generate(adapter, asking(refiner_checkpoint=CORRUPT))
    assert (await generate(adapter, asking())).outputs
    with pytest.raises(GenerationFailed, match="Torch not compiled"):
        await adapter.canary()
    _, another_model = adapter.remedies()
    assert await another_model.apply()
    assert await adapter.canary()
    assert fake.checkpoints.current.filename == FIRST


async def test_an_override_of_the_wrong_type_fails_everything_until_the_options_are_set_back(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    with pytest.raises(RequestSuspected, match="TypeError"):
        await generate(adapter, asking(override_settings={"eta_noise_seed_delta": "x"}))
    with pytest.raises(RequestSuspected, match="TypeError"):
        await generate(adapter, asking())
    with pytest.raises(RequestSuspected, match="TypeError"):
        await adapter.canary()
    options, _ = adapter.remedies()
    assert await options.apply()
    assert await adapter.canary()
    assert fake.options["eta_noise_seed_delta"] == 0


async def test_options_that_differ_are_set_back_and_where_none_do_nothing_is_done(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    options, _ = adapter.remedies()
    assert not await options.apply()
    await generate(adapter, asking(override_settings={"samples_format": "jpg"}))
    assert fake.options["samples_format"] == "jpg"
    assert await options.apply()
    assert fake.options["samples_format"] == "png"


async def test_where_there_is_no_other_model_none_is_loaded(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui(models=(FIRST, Checkpoint(CORRUPT, corrupt=True))) as fake:
        _, another_model = adapter_of(fake, http).remedies()
        assert not await another_model.apply()
        assert fake.checkpoints.current.filename == FIRST
