"""What OpenAI's client library gets from the built-in runtime: pictures whose masked part changed, in other formats."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pytest
from openai import OpenAI
from PIL import Image, ImageChops

from darkroom.local.stack_file import StackFacts, read_stack_file
from tests.acceptance.conftest import Stack, end_by_ctrl_c, start_up, wait_for

SIDE = 128
CONFIG = "modelsRuntime:\n- {name: own, type: diffusers}\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "config.yaml").write_text(CONFIG)
    process = start_up(folder, "--engine", "pocket")

    def facts() -> StackFacts | None:
        assert process.poll() is None, (folder / "up.log").read_text()
        return read_stack_file(folder / ".darkroom")

    started = Stack(folder, process, wait_for(facts, "the stack's start"))
    with OpenAI(base_url=f"{started.facts.endpoint}/v1", api_key=started.facts.api_key) as opened:
        yield opened
    end_by_ctrl_c(started)


def picture(data: str | None) -> Image.Image:
    assert data
    return Image.open(io.BytesIO(base64.b64decode(data)))


def png(made: Image.Image) -> bytes:
    buffer = io.BytesIO()
    made.save(buffer, "png")
    return buffer.getvalue()


def test_what_is_transparent_in_the_mask_changes_and_nothing_else(client: OpenAI) -> None:
    before = Image.new("RGB", (SIDE, SIDE), (10, 120, 200))
    mask = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE))
    reply = client.images.edit(prompt="a yellow dog", image=png(before), mask=png(mask), extra_body={"seed": 1})
    after = picture((reply.data or [])[0].b64_json).convert("RGB")
    changed = ImageChops.difference(after, before)
    margin = SIDE // 16  # the mask's edge is blurred
    assert changed.crop((0, 0, SIDE // 2 - margin, SIDE)).getbbox() is not None
    assert changed.crop((SIDE // 2 + margin, 0, SIDE, SIDE)).getbbox() is None


@pytest.mark.parametrize(("wanted", "made"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
def test_the_format_that_is_asked_for_is_made(client: OpenAI, wanted: str, made: str) -> None:
    reply = client.images.generate(prompt="a red cat", size="128x128", output_format=wanted, quality="low")  # type: ignore[call-overload]
    assert reply.output_format == wanted
    assert picture(reply.data[0].b64_json).format == made
    assert reply.model_extra["warnings"] == []


def test_the_same_seed_is_the_same_picture(client: OpenAI) -> None:
    replies = [
        client.images.generate(prompt="a red cat", size="128x128", quality="low", extra_body={"seed": seed})
        for seed in (3, 3, 4)
    ]
    first, same, other = (picture((reply.data or [])[0].b64_json).tobytes() for reply in replies)
    assert first == same != other
