"""Pictures on their way into a request, and out of one that they make too large."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from darkroom.client import (
    AsyncClient,
    Client,
    InvalidRequest,
    Outcome,
    PictureSource,
    TaskFailed,
    TaskRequest,
    image_to_image,
    text_to_image,
    upscale,
)
from darkroom.client.inputs import LARGEST_BODY_BYTES, inline

BYTES = b"\x89PNG" + bytes(range(64))
TEXT = base64.b64encode(BYTES).decode()


def test_a_picture_may_be_a_path_bytes_an_open_file_or_a_link(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(BYTES)
    with path.open("rb") as file:
        sources: list[PictureSource] = [path, str(path), BYTES, io.BytesIO(BYTES), file, TEXT]
        assert [inline(source) for source in sources] == [TEXT] * len(sources)
    assert inline("s3://bucket/cat.png") == "s3://bucket/cat.png"
    assert inline(f"data:image/png;base64,{TEXT}") == f"data:image/png;base64,{TEXT}"
    several = image_to_image("a cat", [path, "https://example.com/cat.png"], runtime="r")
    assert several.content["init_images"] == [TEXT, "https://example.com/cat.png"]


def test_a_picture_of_pillows_is_sent_as_png() -> None:
    picture = Image.new("RGB", (8, 8), "red")
    sent = Image.open(io.BytesIO(base64.b64decode(inline(picture))))
    assert (sent.format, sent.size, sent.getpixel((0, 0))) == ("PNG", (8, 8), (255, 0, 0))


@pytest.mark.parametrize("mode", ["CMYK", "F", "HSV", "YCbCr", "RGBA", "P", "I;16", "1"])
def test_a_picture_of_pillows_may_have_any_mode(mode: str) -> None:
    sent = Image.open(io.BytesIO(base64.b64decode(inline(Image.new(mode, (8, 8))))))
    assert (sent.format, sent.size) == ("PNG", (8, 8))


def test_a_file_that_is_open_for_reading_text_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(BYTES)
    with path.open() as file, pytest.raises(InvalidRequest, match="a file that is open for reading bytes"):
        inline(file)  # type: ignore[arg-type]


def test_what_is_no_picture_is_named() -> None:
    with pytest.raises(OSError, match=r"no-such-file\.png"):
        inline("no-such-file.png")
    wrong: Any = 17
    with pytest.raises(InvalidRequest, match="not a int"):
        inline(wrong)


def test_upscaling_asks_for_an_upscaler_that_every_runtime_has() -> None:
    assert upscale(BYTES, runtime="r").content["upscaler_1"] == "Lanczos"


def test_what_has_no_name_here_goes_along_in_extra() -> None:
    request = text_to_image("a cat", runtime="r", cfg_scale=6.5, extra={"refiner_switch_at": 0.8}, deadline=9.0)
    assert (request.content["cfg_scale"], request.content["refiner_switch_at"]) == (6.5, 0.8)
    assert request.to_document()["task"]["metadata"]["deadline"] == 9.0


def test_a_deadline_may_be_written_as_the_api_has_it() -> None:
    request = text_to_image("a cat", runtime="r", deadline="2030-01-01T00:00:00Z")
    assert request.to_document()["task"]["metadata"]["deadline"] == "2030-01-01T00:00:00Z"


def test_nothing_that_is_mapped_is_lost_on_the_way() -> None:
    nothing: Any = None

    async def outcomes() -> list[Outcome]:
        async with AsyncClient("http://door/prod", "secret") as client:
            return [outcome async for outcome in client.map([nothing])]

    with Client("http://door/prod", "secret") as client:
        for found in (list(client.map([nothing])), asyncio.run(outcomes())):
            assert [type(outcome.error) for outcome in found] == [InvalidRequest]


@pytest.mark.parametrize("concurrency", [0, -1, 1.5])
def test_a_map_without_room_for_any_request_is_refused(concurrency: Any) -> None:
    async def outcomes() -> list[Outcome]:
        async with AsyncClient("http://door/prod", "secret") as client:
            return [outcome async for outcome in client.map([], concurrency=concurrency)]

    with (
        Client("http://door/prod", "secret") as client,
        pytest.raises(InvalidRequest, match="concurrency: must be a whole number"),
    ):
        list(client.map([], concurrency=concurrency))
    with pytest.raises(InvalidRequest, match="concurrency: must be a whole number"):
        asyncio.run(outcomes())


class Door:
    """A front door and a bucket, as far as these tests go."""

    def __init__(self) -> None:
        self.uploaded: list[bytes] = []
        self.submitted: list[Any] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and request.url.host == "bucket":
            assert "x-api-key" not in request.headers
            assert request.headers["content-type"] == "application/octet-stream"
            self.uploaded.append(request.content)
            return httpx.Response(200)
        if request.url.path.endswith("/uploads"):
            size = json.loads(request.content)["size_bytes"]
            number = len(self.uploaded) + 1
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            link, until = f"s3://b/uploads/{number}", "2027-01-15T08:15:00Z"
            reply = {"upload_url": "http://bucket/1?sig", "headers": headers, "link": link, "expires_at": until}
            return httpx.Response(200, json=reply)
        if request.method == "POST":
            self.submitted.append(json.loads(request.content))
            task_id = self.submitted[-1]["task"]["metadata"]["id"]
            return httpx.Response(200, json={"id_task": task_id, "output_location": "s3://b/o"})
        task_id = request.url.path.rsplit("/", 1)[-1]
        ended = {"status": "failed", "error": {"type": "X", "message": "no", "retryable": False}}
        times = {"created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z"}
        done = {"status": "completed", "result": True} if task_id.startswith("good") else ended
        return httpx.Response(200, json={"id": task_id, "runtime": "r", "output_location": "", **times, **done})


def test_a_request_that_is_too_large_is_sent_with_links_to_its_pictures() -> None:
    door, large = Door(), bytes(LARGEST_BODY_BYTES)
    request = image_to_image("a cat", [large, BYTES, large], runtime="r")
    with Client("http://door/prod", "secret", transport=httpx.MockTransport(door.answer)) as client:
        client.submit(request)
        client.submit(image_to_image("a cat", BYTES, runtime="r"))
    assert door.uploaded == [large]
    pictures = door.submitted[0]["task"]["content"]["init_images"]
    assert pictures == ["s3://b/uploads/1", TEXT, "s3://b/uploads/1"]
    assert door.submitted[1]["task"]["content"]["init_images"] == [TEXT]


def requests(taken: list[str]) -> Iterator[TaskRequest]:
    for number in range(20):
        task_id = f"{'bad' if number % 5 == 0 else 'good'}-{number}"
        taken.append(task_id)
        yield text_to_image("a cat", runtime="r", id=task_id)


def check(outcomes: list[Outcome]) -> None:
    assert {outcome.task_id for outcome in outcomes} == {
        f"{'bad' if number % 5 == 0 else 'good'}-{number}" for number in range(20)
    }
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    assert {str(outcome.task_id)[:3] for outcome in failed} == {"bad"}
    assert len(failed) == 4
    assert all(isinstance(outcome.error, TaskFailed) for outcome in failed)


def test_many_requests_are_taken_as_there_is_room_and_told_as_they_end() -> None:
    door, taken = Door(), []  # type: tuple[Door, list[str]]
    with Client("http://door/prod", "secret", transport=httpx.MockTransport(door.answer)) as client:
        outcomes = client.map(requests(taken), concurrency=3)
        first = next(outcomes)
        assert len(taken) <= 4
        check([first, *outcomes])


def test_the_same_with_coroutines() -> None:
    door, taken = Door(), []  # type: tuple[Door, list[str]]

    async def run() -> list[Outcome]:
        async with AsyncClient("http://door/prod", "secret", transport=httpx.MockTransport(door.answer)) as client:
            return [outcome async for outcome in client.map(requests(taken), concurrency=3)]

    check(asyncio.run(run()))


def test_where_nothing_is_told_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARKROOM_ENDPOINT", raising=False)
    monkeypatch.delenv("DARKROOM_API_KEY", raising=False)
    with pytest.raises(InvalidRequest, match=r"(?s)DARKROOM_ENDPOINT.*DARKROOM_API_KEY"):
        Client()
    monkeypatch.setenv("DARKROOM_ENDPOINT", "http://door/prod")
    monkeypatch.setenv("DARKROOM_API_KEY", "secret")
    door = Door()
    with Client(transport=httpx.MockTransport(door.answer)) as client:
        assert client.submit(text_to_image("a cat", runtime="r", id="good-1")).id == "good-1"


def test_a_picture_is_saved_and_opened(tmp_path: Path) -> None:
    from darkroom.client import Picture

    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, format="PNG")
    picture = Picture("cat-1.png", buffer.getvalue())
    assert picture.save(tmp_path / "new").read_bytes() == picture.data
    assert picture.open().size == (3, 2)
