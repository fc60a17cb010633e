"""Refusals as they are met: each is brought about for real, stands in docs/refusals.md, and is fit to be read."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fastapi.testclient import TestClient
from tests.refusal_page import innards, row_of

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.service import Service
from darkroom.aws.bucket import OpenedObject
from darkroom.aws.errors import NotFound
from darkroom.errors import DarkroomError, Fault, LinkFailure
from darkroom.inference.app import create_app
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service as RuntimeService
from darkroom.inference.upscaling import Upscaling
from darkroom.policy.admission import Refused, readmit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.links import Address, forbidden_reason
from darkroom.policy.sdwebui_fields import FIELDS
from darkroom.runtimes.comfyui.adapter import ComfyUi
from darkroom.runtimes.contract import PATIENCE_SECONDS, generate
from darkroom.runtimes.links import LinkFetcher
from darkroom.runtimes.protocol import GenerationRequest, RuntimeContext
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.settings import LinkSettings
from darkroom.tasks.message import decode_message
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures
from darkroom.testing.comfyui_executor import ComfyUiFault
from darkroom.testing.comfyui_nodes import text_to_image_workflow
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault

PICTURE = base64.b64encode(pictures.plain(300)).decode()
SDWEBUI = RuntimeSpec(name="sd", type="sdwebui", model="cat.safetensors")
COMFYUI = RuntimeSpec(name="flow", type="comfyui")
DOOR = Service(Catalogue([SDWEBUI, COMFYUI]), "bucket")
ODD: tuple[Any, ...] = (None, True, -1, 10**40, 1.5, "", "a b", "../cat.png", [], [{}], {}, {"a": [1]})


def must_be_told_well(message: str, kind: str = "") -> None:
    """The message is one of the page's, and nothing of it is Python's."""
    assert row_of(message, kind) is not None, f"{kind}: {message}"
    assert innards(message) is None, message


def fault_must_be_told_well(fault: Fault) -> None:
    """The same of one fault. What msgspec says of a type is told as it is."""
    told = fault.reason.removeprefix("the request body ").removeprefix("the message ")
    assert innards(told) is None, fault
    assert told.startswith("expected `") or row_of(told) or row_of(fault.reason), fault


def task(kind: str, content: Any, runtime: str = "sd", **metadata: Any) -> bytes:
    names = {"id": "one", "runtime": runtime, "tasktype": kind, "prefix": "output", **metadata}
    return json.dumps({"task": {"metadata": names, "content": content}}).encode()


def post(body: bytes, path: str = "/v1alpha2", **more: Any) -> HttpRequest:
    return HttpRequest(**{"method": "POST", "path": path, "content_type": "application/json", "body": body, **more})


def saving(source: str) -> dict[str, Any]:
    return {"1": {"class_type": "SaveImage", "inputs": {"images": [source, 0]}}}


WORKFLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}
BAD: dict[str, HttpRequest] = {
    "nothing there": HttpRequest(method="GET", path="/cats"),
    "wrong method": HttpRequest(method="DELETE", path="/v1alpha2"),
    "no content type": post(b"{}", content_type=""),
    "another content type": post(b"{}", content_type="text/plain"),
    "said to be compressed": post(b"{}", content_encoding="gzip"),
    "too large": post(b" " * (6 * 1024 * 1024 + 1)),
    "empty body": post(b""),
    "no JSON": post(b"{'task': 1}"),
    "a list": post(b"[]"),
    "UTF-16": post('{"task": 1}'.encode("utf-16")),
    "Latin-1": post('{"täsk": 1}'.encode("latin-1")),
    "compressed": post(b"\x1f\x8b\x08\x00"),
    "deep": post(b"[" * 200 + b"]" * 200),
    "many values": post(b"[" + b"1," * 200_000 + b"1]"),
    "no task": post(b"{}"),
    "a task that is no object": post(b'{"task": []}'),
    "no metadata": post(b'{"task": {"content": {}}}'),
    "unknown runtime": post(task("text-to-image", {"prompt": "a"}, "cat")),
    "unknown task type": post(task("draw", {"prompt": "a"})),
    "a pipeline for SD Web UI": post(task("pipeline", WORKFLOW)),
    "bad names": post(task("text-to-image", {"prompt": "a"}, id="a/../b\n" + "x" * 70, prefix="//darkroom")),
    "no names": post(task("text-to-image", {"prompt": "a"}, id="", prefix="")),
    "a prefix that is kept": post(task("text-to-image", {"prompt": "a"}, prefix="darkroom-payloads/x")),
    "a long key": post(task("text-to-image", {"prompt": "a"}, id="ä" * 60, prefix="€" * 500)),
    "a large context": post(task("text-to-image", {"prompt": "a"}, context="x" * 70_000)),
    "a long timeout": post(task("text-to-image", {"prompt": "a"}, timeout=10**6)),
    "empty content": post(task("text-to-image", {})),
    "second pass without strength": post(task("text-to-image", {"prompt": "a", "enable_hr": True})),
    "more pictures than the batch": post(task("image-to-image", {"init_images": [PICTURE] * 3})),
    "no pictures": post(task("image-to-image", {"prompt": "a"})),
    "a unit with two pictures": post(
        task("text-to-image", {"alwayson_scripts": {"controlnet": {"args": [{"image_link": "a", "image": "b"}]}}})
    ),
    "arguments that are no list": post(task("text-to-image", {"alwayson_scripts": {"x": {"args": 5}}})),
    "no model": post(b'{"alwayson_scripts": {"id_task": "a", "task": "text-to-image", "sd_model_checkpoint": "dog"}}',
                     "/v1alpha1"),
    "editor's workflow": post(task("pipeline", {"nodes": [], "links": []}, "flow")),
    "no workflow": post(task("pipeline", {"prompt": "a cat"}, "flow")),
    "no node": post(task("pipeline", {"1": [], "2": {"class_type": "A", "inputs": []}}, "flow")),
    "a missing link": post(task("pipeline", saving("9"), "flow")),
    "a circle": post(task("pipeline", saving("1"), "flow")),
    "no output": post(task("pipeline", WORKFLOW, "flow")),
    "an id that is no UTF-8": HttpRequest(method="GET", path="/v1alpha2/tasks/%ff"),
    "a long id": HttpRequest(method="PUT", path=f"/v1alpha2/tasks/{'a' * 100}/cancel"),
    "odd questions about a list": HttpRequest(
        method="GET",
        path="/v1alpha2/tasks",
        query={"status": "done", "limit": "0", "since": "today", "next": "?", "cats": ""},
    ),
    "events from here": HttpRequest(method="GET", path="/v1alpha2/events"),
    "an event that never was": HttpRequest(method="GET", path="/v1alpha2/events", last_event_id="17"),
    "another's tasks": HttpRequest(method="GET", path="/v1alpha2/tasks", query={"caller": "shop"}),
    "odd questions": HttpRequest(
        method="GET", path="/v1alpha2/tasks/a", query={"links": "maybe", "from": "0", "wait": "long"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_the_front_doors_refusals(name: str) -> None:
    reply = DOOR.plan(BAD[name], "one", 0)
    assert isinstance(reply, HttpReply)
    assert reply.status >= 400
    must_be_told_well(reply.body.message)
    for fault in reply.body.errors:
        fault_must_be_told_well(fault)


@pytest.mark.parametrize("kind", ["text-to-image", "image-to-image", "extra-single-image", "extra-batch-images"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_whatever_is_sent_in_a_field_is_refused_in_words_of_the_page(kind: str, odd: Any) -> None:
    for field in FIELDS[TaskKind(kind)].rules:
        reply = DOOR.plan(post(task(kind, {field: odd})), "one", 0)
        found = [*reply.body.errors] if isinstance(reply, HttpReply) else [*reply.reply.body.warnings]  # type: ignore[union-attr]
        for fault in found:
            fault_must_be_told_well(fault)


def test_a_message_that_is_no_task_is_told_in_the_same_words() -> None:
    for text in ("", "[]", '{"metadata": 3}', '{"metadata": {"id": ["a"]}, "content": {}}'):
        judged = readmit(decode_message(text), SDWEBUI)
        assert isinstance(judged, Refused)
        for fault in judged.faults:
            fault_must_be_told_well(fault)


@asynccontextmanager
async def site() -> AsyncIterator[int]:
    """A web server that answers `/{status}`, `/again` (a redirect to itself), `/elsewhere`, `/text` and `/packed`."""

    async def answer(request: web.Request) -> web.Response:
        match request.path.strip("/"):
            case "again":
                raise web.HTTPFound("/again")
            case "elsewhere":
                raise web.HTTPFound("s3://bucket/key")
            case "text":
                return web.Response(text="no picture" * 20)
            case "nothing":
                return web.Response()
            case "heic":
                return web.Response(body=b"\0\0\0\x18ftypheic" + bytes(200))
            case "packed":
                return web.Response(body=b"\x1f\x8b\x08\0" + b"\xff" * 100)
            case "large":
                return web.Response(body=bytes(200_000))
            case status:
                return web.Response(status=int(status))

    application = web.Application()
    application.router.add_get("/{path}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def no_object(bucket: str, key: str) -> AsyncIterator[OpenedObject]:
    raise NotFound(f"reading s3://{bucket}/{key}: there is no such object")
    yield


def judge(address: Address) -> str | None:
    return None if str(address) == "127.0.0.1" else forbidden_reason(address)


@pytest.mark.parametrize(
    "link",
    [
        "ftp://example.com/a.png", "C:\\cat.png", "http://a:b@example.com/a.png", "http://example.com:22/a.png",
        "http://[1/a.png", "http:///a.png", "http://a b/c.png", "http://example.com/\x07.png", "www.example.com/a.png",
        "http://example.com:port/", "s3://B/a", "s3://bucket", "s3://other/a.png", "https://example.com/" + "a" * 5000,
        "http://127.0.0.2/a.png", "http://10.1.2.3/a.png", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/",
        "http://224.0.0.1/a.png", "{site}/404", "{site}/503", "{site}/again", "{site}/elsewhere", "{site}/text",
        "{site}/nothing", "{site}/heic", "{site}/packed", "{site}/large", "http://127.0.0.1:1025/a.png",
    ],
)  # fmt: skip
async def test_the_link_fetchers_refusals(link: str) -> None:
    settings = LinkSettings(buckets=("bucket",), maximum_bytes=100_000, timeout_seconds=5)
    fetcher = LinkFetcher(settings, no_object, judge=judge)
    async with site() as port:
        try:
            with pytest.raises(LinkFailure) as caught:
                await fetcher.fetch(link.replace("{site}", f"http://127.0.0.1:{port}"))
        finally:
            await fetcher.close()
    must_be_told_well(str(caught.value), caught.value.type)
    must_be_told_well(caught.value.reason, caught.value.type)


async def first_failure(adapter: ComfyUi, request: GenerationRequest) -> DarkroomError:
    try:
        await adapter.wanted_links(request.content)
        await generate(adapter, request)
    except DarkroomError as error:
        return error
    raise AssertionError("nothing failed")


async def failure(adapter: Any, kind: TaskKind, content: Any) -> DarkroomError:
    with pytest.raises(DarkroomError) as caught:
        await generate(adapter, GenerationRequest("one", kind, content, PATIENCE_SECONDS, submission_id="one"))
    return caught.value


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"override_settings": {"sd_model_checkpoint": "dog"}}, None),
        ({"override_settings": {"sd_model_checkpoint": ["dog", {"a": None}]}}, None),
        ({"override_settings": {"sd_model_checkpoint": {"a": None}},
          "alwayson_scripts": {"sd_model_checkpoint": ["b"]}}, None),
        ({"sampler_name": "Oyler"}, None),
        ({"steps": "many"}, None),
        ({"script_name": "cats"}, None),
        ({}, SdWebuiFault.ERROR),
        ({}, SdWebuiFault.GARBAGE),
        ({}, SdWebuiFault.PARTIAL),
        ({}, SdWebuiFault.WRONG_MODEL),
        ({}, SdWebuiFault.CUT),
    ],
)  # fmt: skip
async def test_the_sd_web_ui_adapters_refusals(content: dict[str, Any], fault: SdWebuiFault | None) -> None:
    async with FakeSdWebui(models=("first.safetensors",)) as fake, aiohttp.ClientSession() as http:
        if fault is not None:
            fake.faults.append(fault)
        adapter = SdWebui(RuntimeContext(fake.url, http))
        body = {"prompt": "a", "width": 64, "height": 64, "n_iter": 2, **content}
        if fault is SdWebuiFault.WRONG_MODEL:
            body["override_settings"] = {"sd_model_checkpoint": "first.safetensors"}
        error = await failure(adapter, TaskKind.TEXT_TO_IMAGE, body)
        await adapter.close()
    must_be_told_well(str(error), error.type)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"prompt": ["a"]}, None),
        ({"nodes": []}, None),
        ({"1": {"class_type": "Cats", "inputs": {}}}, None),
        ({"1": {"class_type": "LoadImage", "inputs": {"image": "http://a.b/c"}, "_meta": {"fetch_links": {"a": []}}}},
         None),
        (WORKFLOW, None),
        (None, ComfyUiFault.ERROR),
        (None, ComfyUiFault.NO_MEMORY),
    ],
)  # fmt: skip
async def test_the_comfyui_adapters_refusals(content: Any, fault: ComfyUiFault | None) -> None:
    async with FakeComfyUi() as fake, aiohttp.ClientSession() as http:
        if fault is not None:
            fake.faults.append(fault)
        adapter = ComfyUi(RuntimeContext(fake.url, http))
        request = GenerationRequest("one", TaskKind.PIPELINE, content or text_to_image_workflow(), PATIENCE_SECONDS)
        error = await first_failure(adapter, request)
        await adapter.close()
    must_be_told_well(str(error), error.type)


@pytest.fixture(scope="module")
def built_in() -> Iterator[TestClient]:
    app = create_app(RuntimeService(PocketEngine(threads=1), Upscaling(None, SpandrelScaler())))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("txt2img", {"sampler_name": "Oyler"}),
        ("txt2img", {"scheduler": "Karas"}),
        ("txt2img", {"restore_faces": True, "tiling": True, "styles": ["cat"]}),
        ("txt2img", {"script_name": "X/Y/Z plot"}),
        ("txt2img", {"alwayson_scripts": {"Cats": {"args": [1]}}}),
        ("txt2img", {"override_settings": {"sd_model_checkpoint": "dog"}}),
        ("txt2img", {"override_settings": {"sd_model_checkpoint": ["dog"]}}),
        ("txt2img", {"override_settings": {"sd_vae": "dog"}}),
        ("txt2img", {"seed": 2**64 - 1, "n_iter": 2}),
        ("txt2img", {"enable_hr": True, "hr_scale": 8, "width": 2048}),
        ("txt2img", {"width": 2048, "height": 2048, "batch_size": 16, "n_iter": 100}),
        ("img2img", {}),
        ("img2img", {"init_images": [""]}),
        ("img2img", {"init_images": ["https://example.com/a.png"]}),
        ("img2img", {"init_images": ["!!!!"]}),
        ("img2img", {"init_images": [PICTURE[:40]]}),
        ("img2img", {"init_images": [base64.b64encode(b"no picture at all").decode()]}),
        ("img2img", {"init_images": ["data:image/png,abc"]}),
        ("extra-single-image", {"image": PICTURE, "upscaler_1": "Lanzcos"}),
        ("extra-single-image", {"image": PICTURE, "gfpgan_visibility": 1}),
    ],
)
def test_the_built_in_runtimes_refusals(built_in: TestClient, path: str, body: dict[str, Any]) -> None:
    usual = {"prompt": "a", "steps": 1, "width": 64, "height": 64} if path.endswith("2img") else {}
    answer = built_in.post(f"/sdapi/v1/{path}", json=usual | body)
    assert 400 <= answer.status_code < 500
    told = answer.json()
    if isinstance(told["detail"], list):  # in the words of pydantic
        assert all(innards(fault["msg"]) is None for fault in told["detail"])
        return
    assert innards(told["detail"]) is None
    faults = told["detail"].split("; ", 1)  # a reason may have a second half
    reason = faults[0] if told["error"] == "NotFound" else faults[0].partition(": ")[2]
    assert any(row_of("; ".join([reason, *rest])) for rest in ([], faults[1:], [faults[-1].partition("; ")[0]])), told
