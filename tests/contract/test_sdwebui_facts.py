"""What real SD Web UI servers were seen to do, one case for each fact, and what the adapter makes of it.

The names follow the order of the facts: results, errors, silent wrong results, time.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    RuntimeUnavailable,
)
from darkroom.policy.media_types import JPEG, PNG, recognise
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate, wait_until
from darkroom.runtimes.protocol import Generation, GenerationRequest, InputFile, Output, Progress, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.runtimes.sdwebui.door import Timings
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.sdwebui_state import Checkpoint

QUICK = Timings(progress_interval=0.02, interrupt_interval=0.05, interrupt_patience=3)
FIRST, SECOND = "first.safetensors", "second.safetensors"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def fake() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(models=(FIRST, SECOND)) as server:
        yield server


@pytest.fixture
async def adapter(fake: FakeSdWebui, http: aiohttp.ClientSession) -> AsyncIterator[SdWebui]:
    made = SdWebui(RuntimeContext(fake.url, http), QUICK)
    yield made
    await made.close()


@pytest.fixture
async def dynamic(fake: FakeSdWebui, http: aiohttp.ClientSession) -> AsyncIterator[SdWebui]:
    made = SdWebui(RuntimeContext(fake.url, http, dynamic_model=True), QUICK)
    yield made
    await made.close()


def text_to_image(task_id: str = "one", timeout: float = PATIENCE_SECONDS, **content: Any) -> GenerationRequest:
    body = {"prompt": "a cat", "width": 64, "height": 64, "seed": 7, **content}
    return GenerationRequest(task_id, TaskKind.TEXT_TO_IMAGE, body, timeout, submission_id=task_id)


def of_kind(kind: TaskKind, **content: Any) -> GenerationRequest:
    return GenerationRequest("one", kind, content, PATIENCE_SECONDS)


def picture_bytes(output: Output) -> bytes:
    assert isinstance(output.body, bytes)
    return output.body


def image_of(output: Output) -> Image.Image:
    return pictures.decode(picture_bytes(output))


def encoded_picture(width: int = 32, height: int = 16) -> str:
    return base64.b64encode(pictures.encode(Image.new("RGB", (width, height), "red"))).decode()


def base64_of(output: Output) -> str:
    return base64.b64encode(picture_bytes(output)).decode()


def paths(generation: Generation) -> list[Any]:
    return [output.path for output in generation.outputs]


# Results


async def test_result_images_are_base64_and_info_is_a_json_string(adapter: SdWebui) -> None:
    generation = await generate(adapter, text_to_image(batch_size=2))
    assert paths(generation) == [("images", 0), ("images", 1)]
    assert generation.response["images"] == [None, None]
    assert isinstance(generation.response["info"], str)
    assert image_of(generation.outputs[0]).size == (64, 64)


async def test_result_of_numbers_with_a_fraction_is_that_of_whole_ones(adapter: SdWebui, fake: FakeSdWebui) -> None:
    generation = await generate(adapter, text_to_image(width=64.5, height="72", steps=4.0, seed=1e3))
    assert image_of(generation.outputs[0]).size == (64, 72)
    assert json.loads(generation.response["info"])["all_seeds"] == [1000]


async def test_result_of_image_to_image_with_a_mask(adapter: SdWebui, fake: FakeSdWebui) -> None:
    content = {"prompt": "a hat", "width": 64, "height": 64}
    request = of_kind(TaskKind.IMAGE_TO_IMAGE, init_images=[encoded_picture()], mask=encoded_picture(), **content)
    assert len((await generate(adapter, request)).outputs) == 1
    assert fake.requests[0]["mask"] == encoded_picture()


async def test_result_of_extra_single_image_stands_under_image(adapter: SdWebui) -> None:
    request = of_kind(
        TaskKind.EXTRA_SINGLE_IMAGE, image=encoded_picture(), upscaler_1="R-ESRGAN 4x+", upscaling_resize=4
    )
    generation = await generate(adapter, request)
    assert paths(generation) == [("image",)]
    assert image_of(generation.outputs[0]).size == (128, 64)
    assert "R-ESRGAN 4x+" in generation.response["html_info"]


async def test_result_of_extra_batch_images_takes_a_list_of_data_and_name(adapter: SdWebui) -> None:
    images = [{"data": encoded_picture(), "name": "a.png"}, {"data": encoded_picture(8, 8), "name": "b.png"}]
    request = of_kind(TaskKind.EXTRA_BATCH_IMAGES, imageList=images, upscaler_1="Lanczos", upscaling_resize=2)
    generation = await generate(adapter, request)
    assert [image_of(output).size for output in generation.outputs] == [(64, 32), (16, 16)]
    assert paths(generation) == [("images", 0), ("images", 1)]


async def test_result_with_a_grid_first_tells_it_from_the_pictures(adapter: SdWebui) -> None:
    generation = await generate(adapter, text_to_image(batch_size=2, save_images=True))
    assert paths(generation) == [("images", 1), ("images", 2), ("images", 0)]
    assert [output.is_extra for output in generation.outputs] == [False, False, True]


async def test_result_without_pictures_is_not_asked_for(adapter: SdWebui) -> None:
    assert len((await generate(adapter, text_to_image(send_images=False))).outputs) == 1


async def test_result_types_come_from_the_bytes_though_an_override_leaks(adapter: SdWebui) -> None:
    assert recognise(picture_bytes((await generate(adapter, text_to_image())).outputs[0])) == PNG
    await generate(adapter, text_to_image(override_settings={"samples_format": "jpg"}))
    leaked = await generate(adapter, text_to_image())
    assert recognise(picture_bytes(leaked.outputs[0])) == JPEG


async def test_progress_of_an_idle_server_is_none_though_interrupted_stays_true(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    fake.job.interrupted = True
    assert await adapter.progress() is None


async def test_progress_is_reported_while_a_picture_is_made(adapter: SdWebui, fake: FakeSdWebui) -> None:
    fake.latency_seconds = 0.4
    reported: list[Progress] = []
    prepared = await adapter.prepare(text_to_image(steps=10))
    await adapter.run(prepared, reported.append)
    assert reported
    assert any(progress.remaining_seconds is not None for progress in reported)
    # Before the first step there is nothing to estimate from.
    assert all(progress.remaining_seconds is None for progress in reported if progress.fraction < 0.1)


async def test_alwayson_scripts_are_passed_on_without_the_routing_keys(adapter: SdWebui, fake: FakeSdWebui) -> None:
    routing = {"task": "text-to-image", "id_task": "x", "uid": "u", "save_dir": "o", "sd_model_checkpoint": FIRST}
    await generate(adapter, text_to_image(alwayson_scripts=routing))
    assert fake.requests[0]["alwayson_scripts"] == {}
    with pytest.raises(GenerationRefused, match="Script 'controlnet' not found"):
        await generate(adapter, text_to_image(alwayson_scripts={**routing, "controlnet": {"args": []}}))
    assert fake.requests[1]["alwayson_scripts"] == {"controlnet": {"args": []}}


async def test_links_are_sent_as_base64_wherever_they_stand(adapter: SdWebui, fake: FakeSdWebui) -> None:
    link, data = "https://example.com/cat.png", pictures.encode(Image.new("RGB", (8, 8)))
    content = {"prompt": "x", "width": 64, "height": 64, "init_images": [link], "mask": link, "note": {"deep": [link]}}
    files = {link: InputFile(link, data, "image/png", "png")}
    await generate(adapter, GenerationRequest("one", TaskKind.IMAGE_TO_IMAGE, content, PATIENCE_SECONDS, files))
    encoded = base64.b64encode(data).decode()
    sent = fake.requests[0]
    assert (sent["init_images"], sent["mask"], sent["note"]) == ([encoded], encoded, {"deep": [encoded]})


# Errors in two shapes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"sampler_name": "Nope"}, "Sampler not found"),
        ({"script_name": "nope"}, "Script 'nope' not found"),
        ({"steps": "many"}, "steps: value is not a valid integer"),
        ({"steps": "16.5"}, "steps: value is not a valid integer"),
        ({"prompt": ["a", "b"]}, "prompt: str type expected"),
    ],
)
async def test_errors_of_the_request_give_the_servers_reason(
    content: dict[str, Any], reason: str, adapter: SdWebui
) -> None:
    with pytest.raises(GenerationRefused, match=reason):
        await generate(adapter, text_to_image(**content))


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        (TaskKind.IMAGE_TO_IMAGE, {"prompt": "x"}, "Init image not found"),
        (TaskKind.IMAGE_TO_IMAGE, {"init_images": ["!!!notbase64"]}, "Invalid encoded image"),
        (TaskKind.EXTRA_SINGLE_IMAGE, {"upscaler_1": "Lanczos"}, "Invalid encoded image"),
        (TaskKind.EXTRA_SINGLE_IMAGE, {"image": encoded_picture(), "upscaler_1": "Nope"}, "upscaler named Nope"),
        (TaskKind.EXTRA_SINGLE_IMAGE, {"image": encoded_picture(), "upscaling_resize": 9}, "less than or equal to 8"),
        (TaskKind.EXTRA_BATCH_IMAGES, {"upscaler_1": "Lanczos"}, "imageList: field required"),
    ],
)
async def test_errors_500_that_only_the_request_can_cause_are_refusals(
    kind: TaskKind, content: dict[str, Any], reason: str, adapter: SdWebui
) -> None:
    with pytest.raises(GenerationRefused, match=reason):
        await generate(adapter, of_kind(kind, **content))


async def test_errors_500_of_the_servers_own_give_kind_and_reason(adapter: SdWebui, fake: FakeSdWebui) -> None:
    fake.faults.append(SdWebuiFault.ERROR)
    with pytest.raises(GenerationFailed, match="OutOfMemoryError: CUDA out of memory"):
        await generate(adapter, text_to_image())


async def test_errors_401_ask_for_a_password_and_never_show_one(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui(credentials=("agent", "s3cret")) as fake:
        address = fake.url.removeprefix("http://")
        await SdWebui(RuntimeContext(f"http://agent:s3cret@{address}", http), QUICK).check_ready()
        with pytest.raises(RuntimeUnavailable, match="API_BASE_URL") as caught:
            await SdWebui(RuntimeContext(f"http://agent:hunter2@{address}", http), QUICK).check_ready()
        assert "hunter2" not in str(caught.value)
    with pytest.raises(RuntimeUnavailable, match="cannot be reached") as caught:
        await SdWebui(RuntimeContext(f"http://agent:hunter2@{address}", http), QUICK).check_ready()
    assert "hunter2" not in str(caught.value)


async def test_errors_404_in_fastapis_shape_mean_that_the_api_is_off(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui() as fake:
        adapter = SdWebui(RuntimeContext(f"{fake.url}/elsewhere", http), QUICK)
        with pytest.raises(RuntimeUnavailable, match="--api"):
            await adapter.check_ready()


async def test_errors_that_are_not_json_at_all(adapter: SdWebui, fake: FakeSdWebui) -> None:
    fake.faults.append(SdWebuiFault.GARBAGE)
    with pytest.raises(GenerationFailed, match="Welcome to nginx"):
        await generate(adapter, text_to_image())


# Silent wrong results


async def test_silent_wrong_override_with_an_unknown_model_never_reaches_the_device(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    with pytest.raises(GenerationRefused, match=r"no model 'nope\.safetensors'; it has: first\.safetensors, second"):
        await generate(adapter, text_to_image(override_settings={"sd_model_checkpoint": "nope.safetensors"}))
    assert fake.requests == []


async def test_silent_wrong_model_is_a_failure_not_a_picture(adapter: SdWebui, fake: FakeSdWebui) -> None:
    fake.faults.append(SdWebuiFault.WRONG_MODEL)
    with pytest.raises(GenerationFailed, match=r"with the model 'some-other-model', though 'second\.safetensors'"):
        await generate(adapter, text_to_image(override_settings={"sd_model_checkpoint": SECOND}))


async def test_silent_wrong_static_model_is_noticed_too(adapter: SdWebui) -> None:
    """A static runtime is routed to by the name of its model; another one is loaded here."""
    with pytest.raises(GenerationFailed, match=r"'first', though 'second\.safetensors' was asked for"):
        await generate(adapter, text_to_image(alwayson_scripts={"sd_model_checkpoint": SECOND}))


async def test_silent_failure_to_load_is_noticed_and_the_current_model_stays(http: aiohttp.ClientSession) -> None:
    models = (Checkpoint(FIRST), Checkpoint("corrupt.safetensors", corrupt=True))
    async with FakeSdWebui(models=models) as fake:
        adapter = SdWebui(RuntimeContext(fake.url, http, dynamic_model=True), QUICK)
        with pytest.raises(GenerationFailed, match=r"could not load the model 'corrupt\.safetensors'.*'first"):
            await generate(adapter, text_to_image(alwayson_scripts={"sd_model_checkpoint": "corrupt.safetensors"}))
        assert fake.requests == []
        assert fake.checkpoints.current.filename == FIRST


@pytest.mark.parametrize("name", [SECOND, "second", f"{SECOND} [0123456789]", f"/srv/models/{SECOND}"])
async def test_models_are_found_by_title_model_name_and_file_name(
    name: str, dynamic: SdWebui, fake: FakeSdWebui
) -> None:
    for _ in range(2):  # the title gains a hash with the first load
        generation = await generate(dynamic, text_to_image(alwayson_scripts={"sd_model_checkpoint": name}))
        assert '"sd_model_name": "second"' in generation.response["info"]
    assert fake.checkpoints.loads == [SECOND]
    assert dynamic.loaded_model == SECOND


async def test_models_the_loaded_one_is_known_from_the_start(dynamic: SdWebui, adapter: SdWebui) -> None:
    await dynamic.check_ready()
    assert dynamic.loaded_model == FIRST
    prepared = await dynamic.prepare(text_to_image(alwayson_scripts={"sd_model_checkpoint": "first"}))
    assert prepared.model == dynamic.loaded_model
    await adapter.check_ready()
    assert adapter.loaded_model is None


async def test_models_are_switched_once_for_a_row_of_tasks(dynamic: SdWebui, fake: FakeSdWebui) -> None:
    for name in (SECOND, SECOND, FIRST, FIRST, SECOND):
        await generate(dynamic, text_to_image(alwayson_scripts={"sd_model_checkpoint": name}))
    assert fake.checkpoints.loads == [SECOND, FIRST, SECOND]


async def test_models_in_override_settings_are_switched_to_as_well(dynamic: SdWebui, fake: FakeSdWebui) -> None:
    """Left to the server, each such task would pay for two loads: there and back."""
    overrides = {"sd_model_checkpoint": SECOND, "CLIP_stop_at_last_layers": 2}
    for _ in range(2):
        await generate(dynamic, text_to_image(override_settings=overrides))
    assert fake.checkpoints.loads == [SECOND]
    assert fake.requests[0]["override_settings"] == {"CLIP_stop_at_last_layers": 2}


async def test_models_two_in_one_request_are_refused(dynamic: SdWebui) -> None:
    content: dict[str, Any] = {
        "alwayson_scripts": {"sd_model_checkpoint": FIRST},
        "override_settings": {"sd_model_checkpoint": SECOND},
    }
    with pytest.raises(GenerationRefused, match="names two models"):
        await generate(dynamic, text_to_image(**content))


async def test_models_that_are_missing_fail_with_the_list_and_the_current_one_stays(
    dynamic: SdWebui, fake: FakeSdWebui
) -> None:
    with pytest.raises(GenerationRefused, match=r"no model 'nope'; it has: first\.safetensors, second\.safetensors"):
        await generate(dynamic, text_to_image(alwayson_scripts={"sd_model_checkpoint": "nope"}))
    assert fake.checkpoints.loads == []


async def test_models_added_since_the_start_are_found_by_a_refresh(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui(models=(FIRST, Checkpoint("third.safetensors", listed=False))) as fake:
        adapter = SdWebui(RuntimeContext(fake.url, http, dynamic_model=True), QUICK)
        await generate(adapter, text_to_image(alwayson_scripts={"sd_model_checkpoint": "third.safetensors"}))
        assert fake.checkpoints.current.filename == "third.safetensors"


async def test_models_a_switch_waits_for_the_running_job(dynamic: SdWebui, fake: FakeSdWebui) -> None:
    fake.latency_seconds = 0.2
    first = asyncio.create_task(generate(dynamic, text_to_image("one")))
    await wait_until(lambda: fake.job.count > 0)
    second = await generate(dynamic, text_to_image("two", alwayson_scripts={"sd_model_checkpoint": SECOND}))
    assert '"sd_model_name": "first"' in (await first).response["info"]
    assert '"sd_model_name": "second"' in second.response["info"]


async def test_models_the_wait_before_a_switch_does_not_count(dynamic: SdWebui, fake: FakeSdWebui) -> None:
    fake.latency_seconds = 0.8
    first = asyncio.create_task(generate(dynamic, text_to_image("one")))
    await wait_until(lambda: fake.job.count > 0)
    fake.latency_seconds = 0.0
    scripts = {"sd_model_checkpoint": SECOND}
    assert (await generate(dynamic, text_to_image("two", timeout=0.5, alwayson_scripts=scripts))).outputs
    await first


async def test_interrupted_by_somebody_else_is_not_a_success_with_fewer_pictures(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    fake.faults.append(SdWebuiFault.PARTIAL)
    with pytest.raises(GenerationInterrupted, match="it made 2 of 3 pictures"):
        await generate(adapter, text_to_image(n_iter=3))


async def test_interrupted_by_somebody_else_is_noticed_even_where_the_only_picture_came(
    adapter: SdWebui, fake: FakeSdWebui, http: aiohttp.ClientSession
) -> None:
    """One picture for one seed: only the server's state tells that it is half done."""
    fake.faults.append(SdWebuiFault.HANG)
    task = asyncio.create_task(generate(adapter, text_to_image()))
    await wait_until(lambda: fake.job.count > 0)
    async with http.post(f"{fake.url}/sdapi/v1/interrupt"):
        pass
    with pytest.raises(GenerationInterrupted, match="somebody interrupted"):
        await task
    assert (await generate(adapter, text_to_image())).outputs


async def test_interrupt_answers_200_with_partial_images_and_hits_only_the_running_request(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    fake.latency_seconds = 0.3
    first = await adapter.prepare(text_to_image("one", n_iter=3))
    second = await adapter.prepare(text_to_image("two"))
    runs = [asyncio.create_task(adapter.run(prepared, lambda _: None)) for prepared in (first, second)]
    await wait_until(lambda: fake.job.count > 0)
    await adapter.interrupt(first)
    with pytest.raises(GenerationInterrupted):
        await runs[0]
    assert (await adapter.collect(await runs[1])).outputs


class LateInterrupts(FakeSdWebui):
    """An interrupt reaches it when it has just turned to the next request."""

    def __init__(self) -> None:
        super().__init__(latency_seconds=1.2)
        self._seen: set[str] = set()

    async def _interrupt(self, request: web.Request) -> web.StreamResponse:
        await wait_until(lambda: len(self.began) > 1)
        return await super()._interrupt(request)

    @property
    def began(self) -> set[str]:
        """The time stamps of its jobs, as far as this was asked for."""
        if self.job.count:
            self._seen.add(self.job.timestamp)
        return self._seen


async def test_an_interrupt_that_comes_late_hits_the_next_request_which_is_then_done_again(
    http: aiohttp.ClientSession,
) -> None:
    """A single picture that was interrupted is sent like a finished one."""
    async with LateInterrupts() as fake:
        adapter = SdWebui(RuntimeContext(fake.url, http), QUICK)
        first = await adapter.prepare(text_to_image("one"))
        second = await adapter.prepare(text_to_image("two"))
        runs = [asyncio.create_task(adapter.run(prepared, lambda _: None)) for prepared in (first, second)]
        await wait_until(lambda: len(fake.requests) == 2 and bool(fake.began))
        await adapter.interrupt(first)
        with pytest.raises(GenerationInterrupted):
            await runs[0]
        began_at = asyncio.get_running_loop().time()
        assert (await adapter.collect(await runs[1])).outputs
        assert fake.interrupts == 1
        assert len(fake.requests) == 3
        assert asyncio.get_running_loop().time() - began_at >= 1.0  # it was not cut short
        await adapter.close()


async def test_a_client_that_goes_away_does_not_stop_the_generation_so_a_retry_interrupts_first(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    fake.faults.append(SdWebuiFault.HANG)
    run = asyncio.create_task(adapter.run(await adapter.prepare(text_to_image()), lambda _: None))
    await wait_until(lambda: fake.job.count > 0)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert fake.job.count == 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await generate(adapter, text_to_image())).outputs
    assert fake.interrupts >= 1


async def test_a_predecessors_generation_is_interrupted_too(
    adapter: SdWebui, fake: FakeSdWebui, http: aiohttp.ClientSession
) -> None:
    """An agent that was killed left it running; this one has never heard of it."""
    fake.faults.append(SdWebuiFault.HANG)
    killed = asyncio.create_task(http.post(f"{fake.url}/sdapi/v1/txt2img", json={"prompt": "left behind"}))
    await wait_until(lambda: fake.job.count > 0)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await generate(adapter, text_to_image())).outputs


async def test_a_broken_connection_leaves_a_generation_behind_that_the_retry_interrupts(
    adapter: SdWebui, fake: FakeSdWebui
) -> None:
    fake.latency_seconds = 0.2
    fake.faults.append(SdWebuiFault.CUT)
    with pytest.raises(RuntimeUnavailable, match="went away"):
        await generate(adapter, text_to_image(n_iter=100))
    async with asyncio.timeout(10):  # the hundred rounds would take twenty seconds
        assert (await generate(adapter, text_to_image())).outputs


# Time, and servers that are beyond help


async def test_http_is_up_before_the_model_is_and_a_request_sent_then_waits(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui(startup_seconds=0.8) as fake:
        adapter = SdWebui(RuntimeContext(fake.url, http), QUICK)
        with pytest.raises(RuntimeUnavailable, match="not loaded its model yet"):
            await adapter.check_ready()
        assert (await generate(adapter, text_to_image())).outputs
        await adapter.check_ready()


async def test_a_server_that_loads_its_model_late_on_purpose_is_ready(http: aiohttp.ClientSession) -> None:
    async with FakeSdWebui(startup_seconds=60, loads_late=True) as fake:
        await SdWebui(RuntimeContext(fake.url, http), QUICK).check_ready()


async def test_a_server_that_ignores_the_interrupt_is_given_up(fake: FakeSdWebui, http: aiohttp.ClientSession) -> None:
    impatient = Timings(progress_interval=0.02, interrupt_interval=0.02, interrupt_patience=0.2)
    adapter = SdWebui(RuntimeContext(fake.url, http), impatient)
    fake.faults.append(SdWebuiFault.DEAF)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(GenerationTimeout, match=r"within 0\.2 s"):
            await generate(adapter, text_to_image(timeout=0.2))
    await adapter.close()


async def test_run_decodes_nothing_for_the_device_waits_meanwhile(adapter: SdWebui, fake: FakeSdWebui) -> None:
    """Whatever the answer is, `run` hands over its bytes; `collect` is where it turns out to be garbage."""
    fake.faults.append(SdWebuiFault.GARBAGE)
    result = await adapter.run(await adapter.prepare(text_to_image()), lambda _: None)
    with pytest.raises(GenerationFailed):
        await adapter.collect(result)


async def test_what_is_prepared_holds_its_pictures_once(adapter: SdWebui) -> None:
    link, data = "https://example.com/cat.png", pictures.plain(50_000)
    files = {link: InputFile(link, data, "image/png", "png")}
    request = GenerationRequest("one", TaskKind.IMAGE_TO_IMAGE, {"init_images": [link]}, PATIENCE_SECONDS, files)
    prepared = await adapter.prepare(request)
    assert (prepared.request.files, prepared.request.content) == ({}, {})
    assert len(data) < prepared.size_bytes < len(data) + 500  # as it is, for base64 is made while it is sent


async def test_two_requests_sent_at_once_each_tell_how_far_they_are_in_their_turn(
    fake: FakeSdWebui, http: aiohttp.ClientSession
) -> None:
    """An agent whose tasks took a moment sends the next one at once, long before anybody asks after the first."""
    slow = SdWebui(RuntimeContext(fake.url, http), Timings(progress_interval=0.1))
    fake.latency_seconds = 0.5
    told: list[tuple[str, Progress]] = []
    runs = []
    for name in ("one", "two"):
        prepared = await slow.prepare(text_to_image(name, steps=50))
        runs.append(asyncio.create_task(slow.run(prepared, lambda progress, name=name: told.append((name, progress)))))
    await asyncio.gather(*runs)
    names = [name for name, _ in told]
    assert names == sorted(names)
    for name in ("one", "two"):
        fractions = [progress.fraction for of, progress in told if of == name]
        assert fractions == sorted(fractions)
        assert fractions
    await slow.close()
