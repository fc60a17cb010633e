"""The adapter against a real ComfyUI, where somebody has one: it needs no model, and runs on a CPU.

    DARKROOM_TEST_COMFYUI=localhost:8188 pytest tests/contract/test_real_comfyui.py

It was last run against ComfyUI 0.3.64, started with `--cpu --disable-api-nodes`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from darkroom.errors import GenerationFailed, GenerationInterrupted, GenerationRefused, GenerationTimeout
from darkroom.policy.media_types import APNG, PNG, WEBM, WEBP, MediaType, recognise
from darkroom.runtimes.comfyui.adapter import ComfyUi
from darkroom.runtimes.contract import generate
from darkroom.runtimes.protocol import Generation, GenerationRequest, InputFile, RuntimeContext
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures

ADDRESS = os.environ.get("DARKROOM_TEST_COMFYUI", "")
LINK = "https://example.com/cat.png"
ANIMATION = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default", "compress_level": 4}
pytestmark = pytest.mark.skipif(not ADDRESS, reason="DARKROOM_TEST_COMFYUI names no server")


@pytest.fixture
async def adapter() -> AsyncIterator[ComfyUi]:
    async with aiohttp.ClientSession() as http:
        made = ComfyUi(RuntimeContext(ADDRESS, http))
        await made.check_ready()
        yield made
        await made.close()


def colour() -> int:
    """A new one each time, so that nothing is answered from the cache of an earlier run."""
    return random.randrange(2**24)


def painted(node: str = "SaveImage", shade: int | None = None, **inputs: Any) -> dict[str, Any]:
    size = {"width": 64, "height": 64, "batch_size": 1, "color": colour() if shade is None else shade}
    saved = {"images": ["2", 0], **({"filename_prefix": "darkroom/test"} if node.startswith("Save") else {}), **inputs}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": node, "inputs": saved},
    }


def painted_twice(node: str, **inputs: Any) -> dict[str, Any]:
    """Two frames, and not the same ones: writers of animations make one picture of those."""
    workflow = painted(node, shade=0x102030, **inputs)
    workflow["3"] = {"class_type": "EmptyImage", "inputs": {**workflow["1"]["inputs"], "color": colour() | 0x800000}}
    workflow["2"] = {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["3", 0]}}
    return workflow


def slow(nodes: int = 30) -> dict[str, Any]:
    """A workflow that keeps a CPU busy for a while: an interrupt takes effect between two nodes."""
    workflow = painted()
    workflow["1"]["inputs"].update(width=900, height=900)
    for number in range(nodes):
        source = str(99 + number) if number else "1"
        blur = {"image": [source, 0], "blur_radius": 15, "sigma": 5.0}
        workflow[str(100 + number)] = {"class_type": "ImageBlur", "inputs": blur}
    workflow["2"]["inputs"]["image"] = [str(99 + nodes), 0]
    return workflow


def pipeline(content: dict[str, Any], task_id: str = "one", timeout: float = 120.0) -> GenerationRequest:
    return GenerationRequest(task_id, TaskKind.PIPELINE, content, timeout)


def types(generation: Generation) -> list[MediaType | None]:
    return [recognise(output.body) for output in generation.outputs if isinstance(output.body, bytes)]


def pixels(generation: Generation) -> list[bytes]:
    return [pictures.decode(output.body).tobytes() for output in generation.outputs if isinstance(output.body, bytes)]


@pytest.mark.parametrize(
    ("node", "inputs", "expected"),
    [
        ("SaveImage", {}, [PNG, PNG]),
        ("PreviewImage", {}, [PNG, PNG]),
        ("SaveImageWebsocket", {}, [PNG, PNG]),
        ("SaveAnimatedWEBP", ANIMATION, [WEBP]),
        ("SaveAnimatedPNG", ANIMATION, [APNG]),
        ("SaveWEBM", {"fps": 6.0, "codec": "vp9", "crf": 32.0}, [WEBM]),
    ],
)
async def test_outputs(node: str, inputs: dict[str, Any], expected: list[MediaType], adapter: ComfyUi) -> None:
    assert types(await generate(adapter, pipeline(painted_twice(node, **inputs)))) == expected


async def test_an_input_by_link(adapter: ComfyUi) -> None:
    data = pictures.encode(pictures.paint(96, 64, 3, "a picture by link"))
    workflow = painted()
    workflow["2"] = {"class_type": "LoadImage", "inputs": {"image": LINK}}
    files = {LINK: InputFile(LINK, data, "image/png", "png")}
    generation = await generate(adapter, GenerationRequest("one", TaskKind.PIPELINE, workflow, 60, files))
    assert pixels(generation) == [pictures.decode(data).tobytes()]


async def test_a_cached_run_is_the_same_and_its_nodes_can_be_made_to_run_again(adapter: ComfyUi) -> None:
    """An input that no node knows changes what the server compares, and nothing of what it paints."""
    workflow = painted(shade=colour())
    first, second = [await generate(adapter, pipeline(workflow)) for _ in range(2)]
    salted = {**workflow, "9": {**workflow["9"], "inputs": {**workflow["9"]["inputs"], "darkroom_run": "again"}}}
    third = await generate(adapter, pipeline(salted))
    names = [generation.response["outputs"]["9"]["images"][0]["filename"] for generation in (first, second, third)]
    assert names[0] == names[1] != names[2]
    assert pixels(first) == pixels(second) == pixels(third)


async def test_the_canary_sings_every_time_and_leaves_nothing_in_the_output_folder(adapter: ComfyUi) -> None:
    for _ in range(3):
        assert await adapter.canary()
    (remedy,) = adapter.remedies()
    assert await remedy.apply()
    assert await adapter.canary()


async def test_a_job_is_remembered(adapter: ComfyUi) -> None:
    prepared = await adapter.prepare(pipeline(painted()))
    await adapter.run(prepared, lambda _: None)
    assert await adapter.lived_on(prepared)


async def test_faults_name_the_node(adapter: ComfyUi) -> None:
    with pytest.raises(GenerationFailed, match=r"node 9 \(SaveImage\) failed: .*outside the output folder"):
        await generate(adapter, pipeline(painted(filename_prefix="../../../evil")))
    with pytest.raises(GenerationRefused, match=r"node 2 \(ImageInvert\): Required input is missing"):
        await generate(adapter, pipeline({**painted(), "2": {"class_type": "ImageInvert", "inputs": {}}}))
    with pytest.raises(GenerationRefused, match="NoSuchNode does not exist"):
        await generate(adapter, pipeline({**painted(), "2": {"class_type": "NoSuchNode", "inputs": {}}}))


async def test_outputs_that_are_not_valid_are_reported(adapter: ComfyUi) -> None:
    broken = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["99", 0]}}
    generation = await generate(adapter, pipeline({**painted(), "10": broken}))
    assert types(generation) == [PNG]
    assert len(generation.warnings) == 1


async def test_interrupting_the_running_and_the_waiting_job(adapter: ComfyUi) -> None:
    first, second = [await adapter.prepare(pipeline(slow(), task_id)) for task_id in ("one", "two")]
    runs = [asyncio.create_task(adapter.run(prepared, lambda _: None)) for prepared in (first, second)]
    async with asyncio.timeout(60):
        while len(await queue()) < 2:  # noqa: ASYNC110 - the queue is in another process
            await asyncio.sleep(0.02)
        await adapter.interrupt(second)
        assert len(await queue()) == 1
        await adapter.interrupt(first)
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GenerationInterrupted] * 2
    assert types(await generate(adapter, pipeline(painted()))) == [PNG]


async def test_a_job_that_takes_too_long_is_stopped(adapter: ComfyUi) -> None:
    with pytest.raises(GenerationTimeout):
        await generate(adapter, pipeline(slow(), timeout=0.5))
    assert await queue() == []


async def queue() -> list[Any]:
    async with aiohttp.ClientSession() as http, http.get(URL(f"http://{ADDRESS}") / "queue") as response:
        jobs = await response.json()
    return [*jobs["queue_running"], *jobs["queue_pending"]]
