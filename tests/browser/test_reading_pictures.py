"""What the console reads out of a picture's file: its own modules, in the browser, on files as programs write them."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from PIL.ExifTags import IFD
from PIL.PngImagePlugin import PngInfo
from playwright.async_api import Browser, Page

from darkroom.inference.infotext_reading import read_infotext
from darkroom.inference.pictures import encode_picture
from darkroom.policy.media_types import recognise
from darkroom.provenance.certificate import read_material
from darkroom.provenance.library import Signer
from darkroom.provenance.manifest import manifest_of
from darkroom.provenance.origin import Origin
from darkroom.samples import read_sample
from darkroom.tasks.task import TaskKind
from tests.browser.console_stack import ConsoleStack
from tests.browser.visits import Visits
from tests.certificates import Authority
from tests.media_samples import picture

READ = """async ([folder, files]) => {
  const { parametersOf } = await import(`${folder}parameters.js`);
  const told = [];
  for (const bytes of files) {
    told.push(await parametersOf(new Blob([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))])));
  }
  return told;
}"""
READ_TEXT = "async ([folder, text]) => (await import(`${folder}infotext.js`)).readInfotext(text)"
BY_SD_WEBUI = "what SD Web UI has written into the file"
BY_COMFYUI = "the workflow that ComfyUI has written into the file"
BY_CREDENTIALS = "its Content Credentials, whose signature is not checked here"
INFOTEXT = """a boat, a "lake" of gläss 湖
second line
Negative prompt: people, text: none
Steps: 24, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 4294967295, Size: 640x512, \
Model hash: 6ce0161689, Model: v1-5, Denoising strength: 0.4, Lora hashes: "boat: 12ab, lake: 34cd", Version: v1.10.1"""
SAID = {
    "prompt": 'a boat, a "lake" of gläss 湖\nsecond line',
    "negative": "people, text: none",
    "steps": 24,
    "sampler": "DPM++ 2M",
    "scheduler": "Karras",
    "cfg": 6.5,
    "seed": 4294967295,
    "width": 640,
    "height": 512,
    "strength": 0.4,
    "model": "v1-5",
}
GRAPH = read_sample("v1alpha2-pipeline")["task"]["content"]
SAID_BY_GRAPH = {
    "prompt": "A dog",
    "negative": "blurry, watermark",
    "width": 512,
    "height": 512,
    "seed": 42,
    "steps": 16,
    "cfg": 7.5,
}


def square() -> Image.Image:
    return Image.new("RGB", (16, 16), "teal")


def png(**texts: str) -> bytes:
    notes = PngInfo()
    for name, text in texts.items():
        notes.add_text(name, text, zip=len(text) > 1000)
    buffer = io.BytesIO()
    square().save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def webp_by_comfyui() -> bytes:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(GRAPH)
    exif[0x010F] = "workflow:" + json.dumps({"nodes": []})
    buffer = io.BytesIO()
    square().save(buffer, "WEBP", exif=exif)
    return buffer.getvalue()


def jpeg_with_comment(comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[0x9286] = comment
    buffer = io.BytesIO()
    square().save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def signed(data: bytes) -> bytes:
    media_type = recognise(data)
    assert media_type is not None
    origin = Origin(
        kind=TaskKind.TEXT_TO_IMAGE,
        runtime="sdruntime",
        runtime_type="sdwebui",
        source_type="trainedAlgorithmicMedia",
        model="a-model",
        prompts={"prompt": "a dog in 雪", "negative_prompt": "cats"},
    )
    destination = io.BytesIO()
    manifest = manifest_of(origin, 0, version="1", when=datetime(2026, 11, 26, tzinfo=UTC))
    Signer(read_material(Authority().issue())).sign(manifest, media_type, io.BytesIO(data), destination, ())
    return destination.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reader(chromium: Browser, running_console: ConsoleStack) -> AsyncIterator[Page]:
    """A page whose modules read files, and that is left as it is: one for all of these."""
    visits = Visits(chromium, running_console)
    yield await visits("", "")
    await visits.close()
    assert visits.faults == []


async def folder_of(page: Page) -> str:
    return str(await page.evaluate("document.querySelector('script[src]').src.replace(/[^/]*$/, '')"))


async def read_each(page: Page, *files: bytes) -> list[Any]:
    told: list[Any] = await page.evaluate(
        READ, [await folder_of(page), [base64.b64encode(data).decode() for data in files]]
    )
    return told


async def read(page: Page, data: bytes) -> Any:
    (told,) = await read_each(page, data)
    return told


async def test_what_sd_webui_writes_is_read_from_each_of_its_formats(reader: Page) -> None:
    for form in ("png", "jpg", "webp"):
        found = await read(reader, encode_picture(square(), form, INFOTEXT))
        assert found == {"source": BY_SD_WEBUI, "values": SAID, "workflow": None}, form
    for comment in (b"ASCII\0\0\0" + b"a dog\nSteps: 2, Seed: 3, CFG scale: 4",):
        assert (await read(reader, jpeg_with_comment(comment)))["values"]["prompt"] == "a dog"
    little = b"UNICODE\0" + INFOTEXT.encode("utf-16-le")
    assert (await read(reader, jpeg_with_comment(little)))["values"] == SAID


async def test_what_comfyui_writes_is_read_and_its_workflow_with_it(reader: Page) -> None:
    for data in (png(prompt=json.dumps(GRAPH), workflow="{}"), webp_by_comfyui()):
        found = await read(reader, data)
        assert found == {"source": BY_COMFYUI, "values": SAID_BY_GRAPH, "workflow": GRAPH}


async def test_content_credentials_are_read_where_nothing_else_tells(reader: Page) -> None:
    values = {"prompt": "a dog in 雪", "negative": "cats", "model": "a-model"}
    for form in ("PNG", "JPEG", "WEBP"):
        found = await read(reader, signed(picture(form)))
        assert found == {"source": BY_CREDENTIALS, "values": values, "workflow": None}, form
    # A manifest of more than 64 KB stands in several pieces of a JPEG.
    both = await read(reader, signed(encode_picture(square(), "png", INFOTEXT)))
    assert both["source"] == BY_SD_WEBUI


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        png(),
        png(parameters="only words"),
        png(prompt="{}", workflow="{}"),
        png(prompt='{"nodes": []}'),
        png(prompt="[1]"),
        jpeg_with_comment(b""),
        jpeg_with_comment(b"UNICODE\0"),
    ],
)
async def test_of_a_picture_that_says_nothing_nothing_is_told(reader: Page, data: bytes) -> None:
    assert await read(reader, data) is None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


async def test_no_file_whatever_stands_in_it_stops_the_page(reader: Page) -> None:
    start = b"\x89PNG\r\n\x1a\n"
    bomb = start + _chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(40_000_000)))
    assert await read(reader, bomb) is None
    # An array of four thousand million of CBOR, a hundred levels of it, and boxes that end too early.
    whole = signed(picture("JPEG")) + signed(picture("PNG"))
    for data in (signed(picture("JPEG")), signed(picture("PNG")), webp_by_comfyui(), png(parameters=INFOTEXT)):
        await read_each(reader, *(data[:cut] for cut in range(1, len(data), max(1, len(data) // 60))))
    endless = b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"
    await read_each(reader, *(whole[:at] + endless + whole[at + 9 :] for at in range(0, len(whole), 97)))


async def test_an_infotext_is_read_as_the_built_in_runtime_reads_it(reader: Page) -> None:
    folder = await folder_of(reader)
    for text in (
        INFOTEXT,
        "a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512",
        "Steps: 20, Sampler: Euler a, Seed: 1",
        'a, b: c\nNegative prompt: x\nmore\nSteps: 1, Model: "a, b: c", Seed: 5, Sampler: LMS',
        "a\nNegative prompt: \nSteps: 1, x, y: z, Seed: 5",
        "no values\nSteps: 1, Seed: 2",
    ):
        said = read_infotext(text)
        found = await reader.evaluate(READ_TEXT, [folder, text])
        if "Steps" not in said:
            assert found is None
            continue
        names = {"Prompt": "prompt", "Negative prompt": "negative", "Sampler": "sampler", "Model": "model"}
        assert {name: found.get(ours) for name, ours in names.items()} == {name: said.get(name) for name in names}
        numbers = {"Steps": "steps", "Seed": "seed", "CFG scale": "cfg", "Size-1": "width", "Size-2": "height"}
        for name, ours in numbers.items():
            assert found.get(ours) == (None if name not in said else float(said[name])), (text, name)
