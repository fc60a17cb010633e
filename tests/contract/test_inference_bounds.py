"""One request to the built-in runtime neither silences it nor takes its memory: what is too much is refused before."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from darkroom.inference.app import create_app
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling

pytestmark = pytest.mark.slow


DEADLINE = 20.0
SMALL = {"prompt": "a dog", "steps": 1, "width": 64, "height": 64, "seed": 1}


def runtime(upscaling: Upscaling | None = None, **limits: int) -> FastAPI:
    return create_app(Service(PocketEngine(threads=1), upscaling or Upscaling(None, SpandrelScaler())), **limits)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(runtime(), raise_server_exceptions=False) as client:
        yield client


@asynccontextmanager
async def in_this_loop(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The server on the test's own event loop, so that what blocks the one blocks the other."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://runtime", timeout=DEADLINE) as client:
            yield client


def encoded(picture: Image.Image, **how: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **how)
    return base64.b64encode(buffer.getvalue()).decode()


def only_a_head(width: int, height: int) -> str:
    """A PNG whose head promises a size, and behind which nothing comes: it cannot be decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")).decode()


class SavedLate(Image.Image):
    """A picture that is written to a file only once something has happened."""

    may_be_saved: Callable[[], bool]

    def save(self, *arguments: Any, **named: Any) -> None:
        assert self.may_be_saved()
        super().save(*arguments, **named)


class UpscalingToSavedLate(Upscaling):
    """Its pictures are writing while `begun` is set and `may_end` is not."""

    def __init__(self) -> None:
        super().__init__(None, SpandrelScaler())
        self.begun, self.may_end = threading.Event(), threading.Event()

    def upscale(self, name: str, picture: Image.Image, width: int, height: int) -> Image.Image:
        late = SavedLate()
        late.__dict__.update(Image.new("RGB", (8, 8)).__dict__)
        late.may_be_saved = self._wait
        return late

    def _wait(self) -> bool:
        self.begun.set()
        return self.may_end.wait(DEADLINE / 2)


@pytest.mark.parametrize("route", ["extra-single-image", "extra-batch-images"])
async def test_health_answers_while_a_picture_is_written(route: str) -> None:
    upscaling = UpscalingToSavedLate()
    picture = encoded(Image.new("RGB", (8, 8)))
    body = {"upscaler_1": "Lanczos", "image": picture, "imageList": [{"data": picture, "name": "a"}]}
    async with in_this_loop(runtime(upscaling)) as client:
        enlarging = asyncio.create_task(client.post(f"/sdapi/v1/{route}", json=body))
        assert await asyncio.to_thread(upscaling.begun.wait, DEADLINE)
        assert (await client.get("/healthz")).status_code == 200
        upscaling.may_end.set()
        assert (await enlarging).status_code == 200


@pytest.mark.parametrize(
    ("route", "names", "share"),
    [
        ("extra-single-image", "image", 0.1),
        ("png-info", "image", 0.5),
        ("img2img", "init_images", 0.2),
        ("txt2img", "nothing", 0.5),
    ],
)
async def test_the_loop_is_free_while_bodies_and_pictures_are_read(route: str, names: str, share: float) -> None:
    # Noise, so that it is large in base64 too. What the loop does in one go is at most this share of all that is done
    # for the request; read there, it would be twice as much. Both are processor time, whoever else runs. Nobody looks
    # for garbage meanwhile: that would be done in the loop, among the objects of all tests before.
    picture = encoded(Image.effect_noise((4096, 4096), 90), compress_level=0)
    pictures: dict[str, Any] = {"image": picture, "init_images": [picture], "nothing": picture}
    longest, busy = 0.0, True

    async def beat() -> None:
        nonlocal longest
        while busy:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    async with in_this_loop(runtime()) as client:
        # What is made of them is small: that it is written aside is tested above.
        small = {**SMALL, "upscaler_1": "Lanczos", "upscaling_resize": 0.25}
        body = json.dumps({**small, "nothing": "", names: pictures[names]}).encode()

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 65536):
                yield body[start : start + 65536]

        gc.disable()
        try:
            heart = asyncio.create_task(beat())
            await asyncio.sleep(0)
            began = time.process_time()
            headers = {"content-type": "application/json"}
            answer = await client.post(f"/sdapi/v1/{route}", content=pieces(), headers=headers)
            taken = time.process_time() - began
            busy = False
            await heart
        finally:
            gc.enable()
    assert answer.status_code == 200, answer.text[:300]
    assert longest < share * taken


HUGE = only_a_head(4096, 4096)


@pytest.mark.parametrize(
    ("route", "body", "said"),
    [
        ("extra-batch-images", {"imageList": [{"data": HUGE, "name": "a"}] * 5}, "5 pictures have 83886080 pixels"),
        ("img2img", {**SMALL, "init_images": [HUGE] * 5}, "5 pictures have 83886080 pixels"),
        ("extra-single-image", {"image": HUGE, "upscaler_1": "Lanczos", "upscaling_resize": 3}, "12288x12288 pixels"),
        (
            "extra-batch-images",
            {"imageList": [{"data": HUGE, "name": "a"}] * 2, "upscaler_1": "Lanczos", "upscaling_resize": 1.5},
            "75497472 pixels together",
        ),
        (
            "extra-single-image",
            # One pixel wide and cut to a square: what is cut away would not fit anywhere.
            {
                "image": only_a_head(1, 4000),
                "upscaler_1": "Lanczos",
                "resize_mode": 1,
                "upscaling_resize_w": 8192,
                "upscaling_resize_h": 8192,
            },
            "8192x32768000 pixels",
        ),
        ("txt2img", {**SMALL, "width": 2048, "height": 2048, "batch_size": 16, "n_iter": 2}, "32 times 2048x2048"),
        (
            "txt2img",
            {**SMALL, "width": 1024, "height": 1024, "enable_hr": True, "hr_scale": 4, "n_iter": 5},
            "5 times 4096x4096",
        ),
        ("img2img", {**SMALL, "init_images": [HUGE], "mask": HUGE, "n_iter": 5}, "5 times 4096x4096"),
    ],
)
def test_pixels_are_counted_before_any_is_decoded(
    client: TestClient, route: str, body: dict[str, Any], said: str
) -> None:
    answer = client.post(f"/sdapi/v1/{route}", json=body)
    assert answer.status_code == 422, answer.text[:300]
    assert said in answer.json()["detail"]


def test_a_result_that_its_format_cannot_hold_is_refused(client: TestClient) -> None:
    client.post("/sdapi/v1/options", json={"samples_format": "webp"})
    try:
        wide = {"image": encoded(Image.new("RGB", (4000, 2))), "upscaler_1": "Nearest", "upscaling_resize": 8}
        answer = client.post("/sdapi/v1/extra-single-image", json=wide)
    finally:
        client.post("/sdapi/v1/options", json={"samples_format": "png"})
    assert answer.status_code == 422
    assert "32000x16 is larger than webp can hold" in answer.json()["detail"]


def test_a_picture_of_any_size_is_refused_for_its_size(client: TestClient) -> None:
    for side in (5_000, 20_000, 2**31 - 1):
        body = {**SMALL, "init_images": [only_a_head(side, side)]}
        answer = client.post("/sdapi/v1/img2img", json=body)
        assert answer.status_code == 422
        assert "more than 16777216" in answer.json()["detail"]


def test_texts_in_a_picture_are_read_whatever_its_size(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/png-info", json={"image": only_a_head(12_000, 12_000)})
    assert answer.status_code == 200
    assert answer.json()["info"] == ""


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b'{"prompt": ' + b"[],".join([b"["] * 100_001), {}, 413, "more than 100000 values"),
        (b'{"comments": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}", {}, 422, "recursion limit"),
        (b"{", {}, 422, "EOF"),
        (b"", {}, 422, "Field required"),
        (b'{"prompt": "caf\xe9"}', {}, 422, "invalid unicode"),
        (b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        (b"\x1f\x8b\x08", {"content-encoding": "gzip"}, 415, "compressed"),
    ],
)
def test_bodies_that_are_no_request(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    sent = {"content-type": "application/json", **headers}
    answer = client.post("/sdapi/v1/txt2img", content=content, headers=sent)
    assert answer.status_code == status
    assert said in answer.text


def test_a_byte_order_mark_is_no_fault(client: TestClient) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(SMALL).encode()
    sent = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/sdapi/v1/txt2img", content=content, headers=sent).status_code == 200


def test_a_body_that_is_too_large_is_refused_by_its_length(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", content=b"{}", headers={"content-length": str(2**30)})
    assert answer.status_code == 413
    assert "larger than 128 MiB" in answer.json()["detail"]


async def test_bodies_are_counted_together_while_they_come_and_until_they_are_answered() -> None:
    app = runtime(largest_body=3000, most_held=4000)
    service: Service = app.state.service
    release = threading.Event()

    async def pieces(count: int) -> AsyncIterator[bytes]:
        yield json.dumps({**SMALL, "nothing": "x" * count}).encode()

    async def post(client: httpx.AsyncClient, count: int) -> httpx.Response:
        sent = {"content-type": "application/json"}
        return await client.post("/sdapi/v1/txt2img", content=pieces(count), headers=sent)

    async with in_this_loop(app) as client:
        holding = asyncio.create_task(service.device.run("hold", lambda job: release.wait(DEADLINE)))
        first = asyncio.create_task(post(client, 2500))
        async with asyncio.timeout(DEADLINE):
            while not service.device.status.waiting:  # noqa: ASYNC110 - a thread's doing
                await asyncio.sleep(0.005)
        assert (await post(client, 5000)).status_code == 413
        refused = await post(client, 2500)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        release.set()
        assert await holding
        assert (await first).status_code == 200
        assert (await post(client, 2500)).status_code == 200


async def test_an_answer_is_written_in_pieces_of_known_length_and_may_be_larger_than_a_body() -> None:
    request = {"image": encoded(Image.effect_noise((800, 800), 90)), "upscaler_1": "Lanczos", "upscaling_resize": 2}
    body = json.dumps(request).encode()
    app = runtime(largest_body=len(body), most_held=len(body))
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    messages: list[Any] = []
    all_sent = asyncio.Event()

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        await all_sent.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            all_sent.set()
            for _ in range(10):  # whoever waits for the client to leave learns of it first
                await asyncio.sleep(0)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/sdapi/v1/extra-single-image",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    pieces = [message.get("body", b"") for message in messages[1:]]
    assert sum(map(len, pieces)) > max(2**21, len(body))
    assert max(map(len, pieces)) < 2**20
    assert dict(messages[0]["headers"])[b"content-length"] == str(sum(map(len, pieces))).encode()
    answer = json.loads(b"".join(pieces))
    assert Image.open(io.BytesIO(base64.b64decode(answer["image"]))).size == (1600, 1600)


@pytest.mark.parametrize("sign", ["x", "\u00e4", "\u732b"])
def test_a_jpeg_holds_what_it_can_of_a_long_text(client: TestClient, sign: str) -> None:
    body = {
        **SMALL,
        "prompt": sign * 20_000,
        "negative_prompt": sign * 20_000,
        "override_settings": {"samples_format": "jpg"},
    }
    answer = client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 200, answer.text[:300]
    info = json.loads(answer.json()["info"])
    text = client.post("/sdapi/v1/png-info", json={"image": answer.json()["images"][0]}).json()["info"]
    whole = info["infotexts"][0]
    assert text.splitlines()[-1] == whole.splitlines()[-1]
    assert text.startswith(sign * 5000)
    if text != whole:
        assert any("lost the end of its prompts" in warning for warning in info["warnings"])
    else:
        assert "lost the end" not in str(info.get("warnings"))
