"""What a real ComfyUI was seen to do, one case for each fact, and what the adapter makes of it.

The numbers in the names are those of the recorded exchanges that the facts were taken from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import msgspec
import pytest

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    MemoryExceeded,
    RuntimeUnavailable,
)
from darkroom.policy.media_types import APNG, GIF, LATENT, MP4, PNG, WEBM, WEBP, MediaType, named, recognise
from darkroom.runtimes.comfyui.adapter import ComfyUi, Timings
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate, wait_until
from darkroom.runtimes.memory import Unbounded
from darkroom.runtimes.protocol import (
    Generation,
    GenerationRequest,
    InputFile,
    Progress,
    RuntimeContext,
    StreamedBody,
)
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.comfyui_executor import ComfyUiFault
from darkroom.testing.comfyui_nodes import image_to_image_workflow, text_to_image_workflow
from darkroom.testing.fake_comfyui import FakeComfyUi

QUICK = Timings(poll_interval=0.3, quick_poll_interval=0.02, stop_interval=0.02, stop_patience=5)
LINK = "https://example.com/cat.png"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUi]:
    async with FakeComfyUi() as server:
        yield server


@pytest.fixture
async def adapter(fake: FakeComfyUi, http: aiohttp.ClientSession) -> AsyncIterator[ComfyUi]:
    made = ComfyUi(RuntimeContext(fake.url, http), QUICK)
    yield made
    await made.close()


def pipeline(content: dict[str, Any], task_id: str = "one", timeout: float = PATIENCE_SECONDS) -> GenerationRequest:
    return GenerationRequest(task_id, TaskKind.PIPELINE, content, timeout)


def types(generation: Generation) -> list[MediaType | None]:
    return [
        recognise(output.body if isinstance(output.body, bytes) else output.body.head) for output in generation.outputs
    ]


def with_second_output(workflow: dict[str, Any], node_id: str, **node: Any) -> dict[str, Any]:
    return {**workflow, node_id: {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}, **node}}


# Websocket


async def test_01_messages_of_a_run_become_progress_per_node_and_step(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.latency_seconds = 0.2
    reported: list[Progress] = []
    prepared = await adapter.prepare(pipeline(text_to_image_workflow(steps=4)))
    await adapter.run(prepared, reported.append)
    stages = [progress.stage for progress in reported if progress.stage]
    assert "node 3 (KSampler), step 3 of 4" in stages
    assert "node 9 (SaveImage, 'Save Image')" in stages
    fractions = [progress.fraction for progress in reported]
    assert fractions == sorted(fractions)
    assert any(progress.remaining_seconds is not None for progress in reported)


async def test_05_06_07_executing_null_after_an_error_means_finished_not_succeeded(
    adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    fake.faults.append(ComfyUiFault.NO_MEMORY)
    with pytest.raises(GenerationFailed, match=r"node 9 \(SaveImage.*OutOfMemoryError: Allocation on device"):
        await generate(adapter, pipeline(text_to_image_workflow()))


async def test_07_a_failed_run_with_partial_outputs_is_a_failure(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    workflow = with_second_output(
        text_to_image_workflow(), "10", inputs={"filename_prefix": "../evil", "images": ["8", 0]}
    )
    with pytest.raises(GenerationFailed, match=r"node 10 \(SaveImage\) failed: Exception: .*outside the output folder"):
        await generate(adapter, pipeline(workflow))
    (record,) = fake.history.values()
    assert record["outputs"]
    assert record["status"]["status_str"] == "error"


async def test_20_21_22_an_interrupt_is_told_from_an_error(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.faults.append(ComfyUiFault.HANG)
    prepared = await adapter.prepare(pipeline(text_to_image_workflow()))
    run = asyncio.create_task(adapter.run(prepared, lambda _: None))
    await wait_until(lambda: fake.running is not None)
    assert fake.running is not None
    fake.running.interrupted.set()  # somebody else did it
    with pytest.raises(GenerationInterrupted, match=r"interrupted at node 3 \(KSampler\)"):
        await run


@pytest.mark.parametrize("fault", [ComfyUiFault.ERROR, ComfyUiFault.HANG])
async def test_05_20_history_says_error_for_both_and_the_last_message_tells_which(
    fault: ComfyUiFault, adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    """With a deaf socket, history is all there is."""
    fake.sockets.is_mute = True
    fake.faults.append(fault)
    run = asyncio.create_task(generate(adapter, pipeline(text_to_image_workflow())))
    await wait_until(lambda: fake.running is not None or bool(fake.history))
    if fault is ComfyUiFault.HANG and fake.running is not None:
        fake.running.interrupted.set()
    with pytest.raises(GenerationInterrupted if fault is ComfyUiFault.HANG else GenerationFailed):
        await run


async def test_25_26_a_job_that_was_deleted_says_nothing_and_is_noticed(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.latency_seconds = 0.5
    first = asyncio.create_task(generate(adapter, pipeline(text_to_image_workflow(seed=1), "one")))
    await wait_until(lambda: fake.running is not None)
    second = asyncio.create_task(generate(adapter, pipeline(text_to_image_workflow(seed=2), "two")))
    await wait_until(lambda: len(fake.pending) == 1)
    fake.pending.clear()
    with pytest.raises(RuntimeUnavailable, match="no longer knows the job"):
        await second
    assert (await first).outputs


async def test_36_43_history_that_is_empty_at_first_is_waited_for(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.history_delay_seconds = 0.1
    fake.faults.append(ComfyUiFault.EMPTY_HISTORY)
    assert types(await generate(adapter, pipeline(text_to_image_workflow()))) == [PNG]


async def test_27_29_others_broadcasts_are_not_ours(
    adapter: ComfyUi, fake: FakeComfyUi, http: aiohttp.ClientSession
) -> None:
    fake.executor.latency_seconds = 0.2
    fake.faults.append(ComfyUiFault.NO_MEMORY)
    async with http.post(f"{fake.url}/prompt", json={"prompt": text_to_image_workflow(seed=99)}):
        pass  # without a client id: its error goes to everybody
    assert types(await generate(adapter, pipeline(text_to_image_workflow()))) == [PNG]


async def test_31_after_a_cut_the_message_without_an_id_is_not_ours(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.latency_seconds = 0.3
    fake.sockets.cut_after = 5
    first = await generate(adapter, pipeline(text_to_image_workflow(seed=1)))
    second = await generate(adapter, pipeline(text_to_image_workflow(seed=2)))
    assert types(first) == types(second) == [PNG]


async def test_32_a_deaf_socket_is_noticed_and_given_up(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    """Every connection has an id of its own, so that no older one can make it deaf; this one is all the same."""
    await generate(adapter, pipeline(text_to_image_workflow(seed=1)))
    (deaf,) = fake.sockets.open
    fake.sockets.open.clear()
    assert types(await generate(adapter, pipeline(text_to_image_workflow(seed=2)))) == [PNG]
    await generate(adapter, pipeline(text_to_image_workflow(seed=3)))
    (fresh,) = fake.sockets.open
    assert fresh != deaf


async def test_40_a_killed_server_is_unavailable_and_its_queue_is_lost(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.faults.append(ComfyUiFault.CRASH)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(RuntimeUnavailable):
            await generate(adapter, pipeline(text_to_image_workflow()))
    await fake.start()
    assert fake.history == {}
    await adapter.check_ready()
    assert (await generate(adapter, pipeline(text_to_image_workflow()))).outputs


async def test_40_a_restart_that_goes_unseen_loses_the_job_and_is_noticed(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.faults.append(ComfyUiFault.VANISH)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(RuntimeUnavailable, match="no longer knows the job"):
            await generate(adapter, pipeline(text_to_image_workflow()))


async def test_a_server_without_a_websocket_is_followed_by_polling(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.sockets.refuses = True
    assert types(await generate(adapter, pipeline(text_to_image_workflow()))) == [PNG]


# Outputs


@pytest.mark.parametrize(
    ("node", "key", "expected"),
    [
        ("SaveImage", "images", PNG),
        ("SaveAnimatedWEBP", "images", WEBP),
        ("SaveAnimatedPNG", "images", APNG),
        ("SaveWEBM", "images", WEBM),
        ("VHS_VideoCombine", "gifs", GIF),
        ("SaveVideo", "videos", MP4),
        ("SaveLatent", "latents", LATENT),
    ],
)
async def test_08_10_11_13_14_outputs_stand_under_any_key(
    node: str, key: str, expected: MediaType, adapter: ComfyUi
) -> None:
    generation = await generate(adapter, pipeline(text_to_image_workflow(output=node)))
    assert types(generation) == [expected]
    assert generation.outputs[0].path == ("outputs", "9", key, 0, "url")


async def test_08_subfolders_can_be_nested_and_node_order_is_not_stable(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    workflow = text_to_image_workflow(batch_size=2, filename_prefix="deep/er/cat")
    workflow = with_second_output(workflow, "10", inputs={"filename_prefix": "second", "images": ["8", 0]})
    generation = await generate(adapter, pipeline(workflow))
    assert [output.path[1:4:2] for output in generation.outputs if output.path] == [
        ("9", 0),
        ("9", 1),
        ("10", 0),
        ("10", 1),
    ]
    (record,) = fake.history.values()
    assert list(record["outputs"]) != ["9", "10"]
    assert generation.response["outputs"]["9"]["images"][0]["subfolder"] == "deep/er"


async def test_12_previews_are_results_where_nothing_is_saved(adapter: ComfyUi) -> None:
    generation = await generate(adapter, pipeline(text_to_image_workflow(output="PreviewImage")))
    assert [output.is_extra for output in generation.outputs] == [False]


async def test_12_previews_beside_saved_pictures_are_extras(adapter: ComfyUi) -> None:
    workflow = text_to_image_workflow(output="PreviewImage")
    generation = await generate(adapter, pipeline(with_second_output(workflow, "10")))
    assert [(output.path or ())[1] for output in generation.outputs] == ["10", "9"]
    assert [output.is_extra for output in generation.outputs] == [False, True]


async def test_15_text_outputs_are_no_files_and_stay_in_the_response(adapter: ComfyUi) -> None:
    generation = await generate(adapter, pipeline(text_to_image_workflow(output="PreviewAny")))
    assert generation.outputs == ()
    assert generation.response["outputs"]["9"]["text"]


async def test_17_pictures_that_are_only_sent_on_the_websocket(adapter: ComfyUi) -> None:
    generation = await generate(adapter, pipeline(text_to_image_workflow(output="SaveImageWebsocket", batch_size=2)))
    assert types(generation) == [PNG, PNG]
    assert [output.path for output in generation.outputs] == [("outputs", "9", "images", n, "url") for n in (0, 1)]
    assert generation.response["outputs"]["9"]["images"][0]["url"] is None


class Little(Unbounded):
    """Memory for one small picture."""

    maximum_bytes = 1000


async def test_pictures_on_the_websocket_that_are_too_much_to_hold_end_their_task_and_no_other(
    adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    request = pipeline(text_to_image_workflow(output="SaveImageWebsocket", batch_size=2))
    with pytest.raises(MemoryExceeded, match="what the runtime sent"):
        await generate(adapter, replace(request, memory=Little()))
    assert (await generate(adapter, pipeline(text_to_image_workflow(seed=2)))).outputs
    assert fake.running is None


async def test_17_pictures_that_were_missed_on_the_websocket_are_made_again(
    adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    fake.sockets.cut_after = 13  # after the first of the two pictures
    generation = await generate(adapter, pipeline(text_to_image_workflow(output="SaveImageWebsocket", batch_size=2)))
    assert types(generation) == [PNG, PNG]
    assert len(fake.submitted) == 2


async def test_18_node_ids_may_have_colons(adapter: ComfyUi) -> None:
    workflow = text_to_image_workflow()
    workflow["group:9"] = workflow.pop("9")
    generation = await generate(adapter, pipeline(workflow))
    assert generation.outputs[0].path == ("outputs", "group:9", "images", 0, "url")


async def test_41_42_previews_in_binary_frames_are_not_results(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.sends_previews = True
    generation = await generate(adapter, pipeline(text_to_image_workflow(output="SaveImageWebsocket")))
    assert types(generation) == [PNG]


async def test_large_outputs_are_streamed(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    prepared = await adapter.prepare(pipeline(text_to_image_workflow(output="SaveVideo")))
    result = await adapter.run(prepared, lambda _: None)
    ((key, data),) = fake.executor.files.items()
    large = data + bytes(9 * 1024 * 1024)
    fake.executor.files[key] = large
    body = (await adapter.collect(result)).outputs[0].body
    assert isinstance(body, StreamedBody)
    assert recognise(body.head) == MP4
    assert b"".join([chunk async for chunk in body.chunks()]) == large


# Cache


async def test_03_an_identical_prompt_names_its_old_files(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    first = await generate(adapter, pipeline(text_to_image_workflow(), "one"))
    second = await generate(adapter, pipeline(text_to_image_workflow(), "two"))
    assert [output.body for output in first.outputs] == [output.body for output in second.outputs]
    assert len(fake.executor.files) == 1


async def test_35_cached_files_that_are_gone_are_made_again(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    first = await generate(adapter, pipeline(text_to_image_workflow(), "one"))
    fake.executor.files.clear()
    second = await generate(adapter, pipeline(text_to_image_workflow(), "two"))
    assert [output.body for output in first.outputs] == [output.body for output in second.outputs]
    assert len(fake.submitted) == 3
    # Only the node that saves is run again: what came before it is still in the cache.
    (*_, record) = fake.history.values()
    (cached,) = [data["nodes"] for event, data in record["status"]["messages"] if event == "execution_cached"]
    assert "3" in cached
    assert "9" not in cached


async def test_35_cached_files_that_are_gone_behind_a_deaf_socket(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    await generate(adapter, pipeline(text_to_image_workflow(), "one"))
    fake.executor.files.clear()
    fake.sockets.is_mute = True
    assert types(await generate(adapter, pipeline(text_to_image_workflow(), "two"))) == [PNG]


# Submission


async def test_09_outputs_that_are_not_valid_are_reported_beside_those_that_are(adapter: ComfyUi) -> None:
    workflow = with_second_output(text_to_image_workflow(), "10", inputs={"filename_prefix": "x", "images": ["99", 0]})
    generation = await generate(adapter, pipeline(workflow))
    assert types(generation) == [PNG]
    assert generation.warnings == ("node 10 (SaveImage): Exception when validating node ('99')",)
    assert "10" in generation.response["node_errors"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no"}}},
            r"node 4 .*ckpt_name: 'no' not in",
        ),
        ({"3": {"class_type": "NoSuchNode", "inputs": {}}}, "NoSuchNode does not exist"),
        ({"3": {"class_type": "KSampler", "inputs": {"steps": 0}}}, r"node 3 \(KSampler\): Required input is missing"),
        ({"9": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}}}, "Prompt has no outputs"),
    ],
)
async def test_04_a_refusal_is_put_into_words_from_the_nodes_errors(
    change: dict[str, Any], reason: str, adapter: ComfyUi
) -> None:
    with pytest.raises(GenerationRefused, match=reason):
        await generate(adapter, pipeline({**text_to_image_workflow(), **change}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "must be a workflow"),
        ({"prompt": None}, "must be a workflow"),
        ({"prompt": [1, 2]}, "must be a workflow"),
        ({"nodes": [], "links": [], "version": 0.4}, r"Save \(API Format\)"),
        ({"3": "text"}, "3: is no node: a node has a class_type"),
        ({"3": {"class_type": "KSampler", "inputs": []}}, "3.inputs: must be an object"),
        ({"prompt": text_to_image_workflow(), "extra_data": [1]}, "extra_data: must be an object"),
    ],
)
async def test_04_what_the_server_would_answer_with_500_is_refused_before(
    content: dict[str, Any], reason: str, adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    with pytest.raises(GenerationRefused, match=reason):
        await generate(adapter, pipeline(content))
    assert fake.submitted == []


async def test_04_extra_data_is_passed_on_and_never_null(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    await generate(adapter, pipeline({"prompt": text_to_image_workflow(), "extra_data": {"note": 1}}))
    await generate(adapter, pipeline({"prompt": text_to_image_workflow(), "extra_data": None}))
    assert [body["extra_data"] for body in fake.submitted] == [{"note": 1}, {}]


async def test_33_34_the_prompt_id_is_ours_and_new_for_each_run(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    prepared = await adapter.prepare(pipeline(text_to_image_workflow()))
    for _ in range(2):
        await adapter.collect(await adapter.run(prepared, lambda _: None))
    ids = [body["prompt_id"] for body in fake.submitted]
    assert len(set(ids)) == 2
    assert set(ids) == set(fake.history)


async def test_33_a_server_that_chooses_the_id_itself_is_followed_under_that(
    adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    fake.chooses_ids = True
    generation = await generate(adapter, pipeline(text_to_image_workflow()))
    assert types(generation) == [PNG]
    assert fake.submitted[0]["prompt_id"] not in fake.history
    assert generation.response["prompt_id"] in fake.history


# Cancel


async def test_20_to_26_cancelling_a_running_job_names_it(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.faults.append(ComfyUiFault.HANG)
    prepared = await adapter.prepare(pipeline(text_to_image_workflow()))
    run = asyncio.create_task(adapter.run(prepared, lambda _: None))
    await wait_until(lambda: fake.running is not None)
    await adapter.interrupt(prepared)
    with pytest.raises(GenerationInterrupted):
        await run
    assert set(fake.interrupts) == {fake.submitted[0]["prompt_id"]}


async def test_25_cancelling_a_pending_job_interrupts_nobody(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.latency_seconds = 0.4
    first = asyncio.create_task(generate(adapter, pipeline(text_to_image_workflow(seed=1), "one")))
    await wait_until(lambda: fake.running is not None)
    prepared = await adapter.prepare(pipeline(text_to_image_workflow(seed=2), "two"))
    second = asyncio.create_task(adapter.run(prepared, lambda _: None))
    await wait_until(lambda: len(fake.pending) == 1)
    await adapter.interrupt(prepared)
    with pytest.raises(GenerationInterrupted):
        await second
    assert (await first).outputs
    assert fake.interrupts == []


async def test_cancelling_while_the_server_takes_the_job(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.faults.append(ComfyUiFault.HANG)
    fake.submission_gate = asyncio.Event()
    prepared = await adapter.prepare(pipeline(text_to_image_workflow()))
    run = asyncio.create_task(adapter.run(prepared, lambda _: None))
    await wait_until(lambda: fake.arrivals == 1)
    await adapter.interrupt(prepared)
    fake.submission_gate.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(GenerationInterrupted):
            await run


async def test_a_predecessors_jobs_are_removed_and_strangers_are_left_alone(
    adapter: ComfyUi, fake: FakeComfyUi, http: aiohttp.ClientSession
) -> None:
    fake.executor.latency_seconds = 0.4
    clients = ("a person with a browser", "darkroom-of-before")
    for client_id in clients:
        body = {"prompt": text_to_image_workflow(seed=len(client_id)), "client_id": client_id, "prompt_id": client_id}
        async with http.post(f"{fake.url}/prompt", json=body):
            pass
    await wait_until(lambda: fake.running is not None)
    assert (await generate(adapter, pipeline(text_to_image_workflow(seed=99)))).outputs
    assert fake.history[clients[0]]["status"]["status_str"] == "success"
    assert clients[1] not in fake.history


async def test_a_predecessors_running_job_is_interrupted(
    adapter: ComfyUi, fake: FakeComfyUi, http: aiohttp.ClientSession
) -> None:
    fake.faults.append(ComfyUiFault.HANG)
    body = {"prompt": text_to_image_workflow(seed=2), "client_id": "darkroom-of-before", "prompt_id": "left behind"}
    async with http.post(f"{fake.url}/prompt", json=body):
        pass
    await wait_until(lambda: fake.running is not None)
    assert (await generate(adapter, pipeline(text_to_image_workflow(seed=99)))).outputs
    assert "left behind" in fake.interrupts


# Inputs


async def test_37_links_are_uploaded_and_nodes_get_the_files_names(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    data = pictures.plain(0)
    files = {LINK: InputFile(LINK, data, "image/png", "png")}
    workflow = image_to_image_workflow(LINK)
    request = GenerationRequest("one", TaskKind.PIPELINE, workflow, PATIENCE_SECONDS, files)
    assert types(await generate(adapter, request)) == [PNG]
    name = fake.submitted[0]["prompt"]["12"]["inputs"]["image"]
    folder, _, file_name = name.rpartition("/")
    assert fake.executor.files["input", folder, file_name] == data
    assert workflow["12"]["inputs"]["image"] == LINK


def node(class_type: str, **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}


PAGE = "https://example.com/hook.png"


async def test_only_inputs_that_take_files_have_their_links_fetched(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    """The server says which they are (`image_upload` and the like in `object_info`); elsewhere a URL is a URL."""
    fake.file_inputs["AcmeLoader"] = {"source": {"image_upload": True}, "address": {}}
    workflow = {
        "1": node("LoadImage", image=LINK, upload="image"),
        "2": node("PostToWebhook", url=PAGE, image=["1", 0]),
        "3": node("CLIPTextEncode", text=PAGE),
        "4": node("LoadVideo", file="https://example.com/clip.mp4"),
        "5": node("AcmeLoader", source="s3://bucket/a b.png", address=PAGE),
        "6": node("VHS_LoadVideo", video="https://example.com/other.mp4"),
        "7": node("LoadImage", image="example.png"),
    }
    assert await adapter.wanted_links(workflow) == {
        LINK: {"image"},
        "https://example.com/clip.mp4": {"image", "video"},
        "s3://bucket/a b.png": {"image"},
        "https://example.com/other.mp4": {"image", "video"},
    }
    # Only classes that hold links are asked after, each once.
    assert sorted(fake.described) == sorted(
        {"LoadImage", "PostToWebhook", "CLIPTextEncode", "LoadVideo", "AcmeLoader", "VHS_LoadVideo"}
    )


async def test_one_url_that_is_a_picture_here_and_a_url_there(adapter: ComfyUi) -> None:
    workflow = {"1": node("LoadImage", image=LINK), "2": node("PostToWebhook", url=LINK)}
    files = {LINK: InputFile(LINK, pictures.plain(0), "image/png", "png")}
    prepared = await adapter.prepare(GenerationRequest("one", TaskKind.PIPELINE, workflow, PATIENCE_SECONDS, files))
    sent = msgspec.json.decode(prepared.payload.encoded)
    assert sent["1"]["inputs"]["image"].startswith("darkroom/")
    assert sent["2"]["inputs"]["url"] == LINK


@pytest.mark.parametrize(("said", "fetched"), [(True, {PAGE}), (False, set()), (None, set())])
async def test_a_node_can_say_what_its_links_are(adapter: ComfyUi, said: bool | None, fetched: set[str]) -> None:
    meta = {"title": "mine"} if said is None else {"fetch_links": said}
    assert set(await adapter.wanted_links({"1": {**node("Acme", path=PAGE), "_meta": meta}})) == fetched
    picture = await adapter.wanted_links({"1": {**node("LoadImage", image=LINK), "_meta": meta}})
    assert set(picture) == (set() if said is False else {LINK})


async def test_what_is_neither_is_refused(adapter: ComfyUi) -> None:
    with pytest.raises(GenerationRefused, match=r"_meta\.fetch_links of node '1' must be true or false, not 'yes'"):
        await adapter.wanted_links({"1": {**node("Acme", path=PAGE), "_meta": {"fetch_links": "yes"}}})


@pytest.mark.parametrize("listed", ["Acme", "Acme.path"])
async def test_users_can_list_inputs_that_take_files(fake: FakeComfyUi, listed: str) -> None:
    async with aiohttp.ClientSession() as http:
        adapter = ComfyUi(RuntimeContext(fake.url, http, link_inputs=(listed,)))
        assert set(await adapter.wanted_links({"1": node("Acme", path=PAGE)})) == {PAGE}
        assert bool(await adapter.wanted_links({"1": node("Acme", other=PAGE)})) is (listed == "Acme")
        await adapter.close()


async def test_38_two_pictures_never_share_a_file_and_one_picture_is_one_file(
    adapter: ComfyUi, fake: FakeComfyUi
) -> None:
    for size in (100, 200, 100):
        files = {LINK: InputFile(LINK, pictures.plain(size), "image/png", "png")}
        await adapter.prepare(
            GenerationRequest("one", TaskKind.PIPELINE, image_to_image_workflow(LINK), PATIENCE_SECONDS, files)
        )
    assert len(fake.executor.files) == 2


async def test_39_a_model_that_was_added_is_there_at_once(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    request = pipeline(text_to_image_workflow(checkpoint="new.safetensors"))
    with pytest.raises(GenerationRefused, match=r"'new\.safetensors' not in"):
        await generate(adapter, request)
    fake.checkpoints.append("new.safetensors")
    assert (await generate(adapter, request)).outputs


async def test_output_that_is_no_picture_keeps_the_name_of_its_kind(adapter: ComfyUi) -> None:
    (output,) = (await generate(adapter, pipeline(text_to_image_workflow(output="SaveGLB")))).outputs
    assert isinstance(output.body, bytes)
    assert recognise(output.body) is None
    assert (output.extension, named(output.extension).content_type) == ("glb", "model/gltf-binary")


async def test_output_of_no_bytes_is_no_success(adapter: ComfyUi, fake: FakeComfyUi) -> None:
    fake.executor.writes_nothing = True
    with pytest.raises(
        GenerationFailed, match=r"node 9 \(SaveImage, 'Save Image'\) made an empty file: ComfyUI_00001_"
    ):
        await generate(adapter, pipeline(text_to_image_workflow()))
