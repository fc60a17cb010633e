"""OpenAI's own client library against the whole stack, and requests as LiteLLM and Open WebUI send them."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from PIL import Image

from darkroom.local.stack_file import StackFacts, read_stack_file
from darkroom.testing.free_port import free_port
from tests.acceptance.conftest import Stack, end_by_ctrl_c, start_up, wait_for

SLOW_SECONDS = 3.0
WORKFLOW = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1, "steps": 4, "cfg": 7, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
}  # fmt: skip
EDIT_WORKFLOW = {
    **WORKFLOW,
    "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}},
    "10": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
}
OPENAI = {
    "generate": {
        "workflow": WORKFLOW,
        "slots": {
            "prompt": "6.text", "negativePrompt": "7.text", "seed": "3.seed", "steps": "3.steps", "n": "5.batch_size",
            "width": "5.width", "height": "5.height",
        },
    },
    "edit": {"workflow": EDIT_WORKFLOW, "slots": {"prompt": "6.text", "picture": "10.image", "seed": "3.seed"}},
}  # fmt: skip
CONFIG = f"""\
APIGW:
  throttle: {{rateLimit: 1000, burstLimit: 1000}}
modelsRuntime:
- {{name: sdruntime, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}}
- {{name: slow, type: sdwebui}}
- name: workflows
  type: comfyui
  openai: {json.dumps(OPENAI)}
"""
Clients = Callable[..., OpenAI]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("openai")
    (folder / "config.yaml").write_text(CONFIG)
    port = free_port()
    command = [sys.executable, "-m", "darkroom.testing.fake_sdwebui", "--port", str(port)]
    slow = subprocess.Popen([*command, "--latency", str(SLOW_SECONDS)])
    process = start_up(folder, "--runtime-url", f"slow=http://127.0.0.1:{port}")

    def facts() -> StackFacts | None:
        assert process.poll() is None, (folder / "up.log").read_text()
        return read_stack_file(folder / ".darkroom")

    started = Stack(folder, process, wait_for(facts, "the stack's start"))
    yield started
    end_by_ctrl_c(started)
    slow.terminate()
    slow.wait()
    assert started.logged(started.facts.api_key) == []
    assert started.logged("a secret garden") == []


@pytest.fixture(params=["with-stage", "without"])
def base_url(running: Stack, request: pytest.FixtureRequest) -> str:
    endpoint = running.facts.endpoint
    return f"{endpoint if request.param == 'with-stage' else endpoint.rpartition('/')[0]}/v1"


@pytest.fixture
def client(running: Stack, base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base_url, api_key=running.facts.api_key) as opened:
        yield opened


@pytest.fixture
def opened(running: Stack) -> Iterator[Clients]:
    """Makes clients with options of their own."""
    clients: list[OpenAI] = []

    def open_client(**options: Any) -> OpenAI:
        clients.append(
            OpenAI(**{"base_url": f"{running.facts.endpoint}/v1", "api_key": running.facts.api_key, **options})
        )
        return clients[-1]

    yield open_client
    for one in clients:
        one.close()


def picture(data: str | None) -> Image.Image:
    assert data
    return Image.open(io.BytesIO(base64.b64decode(data)))


def png(size: tuple[int, int] = (128, 64), mode: str = "RGB", colour: Any = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "png")
    return buffer.getvalue()


def submissions(stack: Stack) -> int:
    found = stack.client("dynamodb").scan(TableName=stack.facts.task_table)["Items"]
    return sum(item["id"]["S"].startswith("submission/") for item in found)


def test_the_address_is_told(running: Stack) -> None:
    log, address = running.folder / "up.log", f"{running.facts.endpoint}/v1"
    wait_for(lambda: address in log.read_text().split(), f"{address} in what `up` prints")


def test_pictures_are_made(client: OpenAI) -> None:
    reply = client.images.generate(
        prompt="a secret garden",
        n=2,
        size="256x128",
        quality="low",
        extra_body={"seed": 7, "negative_prompt": "people", "guidance_scale": 5},
    )
    assert [picture(one.b64_json).size for one in reply.data or []] == [(256, 128)] * 2
    assert (reply.size, reply.output_format, reply.quality) == ("256x128", "png", "low")
    assert reply.model_extra is not None
    assert (reply.model_extra["seed"], reply.model_extra["model"]) == (7, "sdruntime")
    assert reply._request_id


def test_the_task_is_one_of_ours(running: Stack, client: OpenAI) -> None:
    reply = client.images.generate(prompt="an orchard", model="sdruntime/v1-5-pruned-emaonly.safetensors")
    assert reply.model_extra is not None
    found = running.http.get(
        f"{running.facts.endpoint}/v1alpha2/tasks/{reply.model_extra['task']}",
        headers={"x-api-key": running.facts.api_key},
    ).json()
    assert (found["status"], found["runtime"]) == ("completed", "sdruntime")


def test_links_lead_to_pictures(running: Stack, client: OpenAI) -> None:
    reply = client.images.generate(prompt="a lighthouse", response_format="url")
    assert reply.data
    fetched = running.http.get(str(reply.data[0].url))
    assert fetched.status_code == 200
    assert Image.open(io.BytesIO(fetched.content)).format == "PNG"


def test_a_workflow_makes_pictures(client: OpenAI) -> None:
    reply = client.images.generate(prompt="a harbour", model="workflows", n=2, size="192x128")
    assert [picture(one.b64_json).size for one in reply.data or []] == [(192, 128)] * 2


@pytest.mark.parametrize("model", ["sdruntime", "workflows"])
def test_a_picture_is_changed(client: OpenAI, model: str) -> None:
    reply = client.images.edit(model=model, image=png(), prompt="a boat")
    (made,) = reply.data or []
    assert picture(made.b64_json).format == "PNG"


def test_a_masked_part_is_changed(client: OpenAI) -> None:
    mask = png((128, 64), "RGBA", (0, 0, 0, 0))
    reply = client.images.edit(image=[("a.png", png())], mask=mask, prompt="a boat", n=2, size="128x64")
    assert [picture(one.b64_json).size for one in reply.data or []] == [(128, 64)] * 2


def test_models_are_listed(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids == ["sdruntime", "sdruntime/v1-5-pruned-emaonly.safetensors", "slow", "workflows"]
    assert client.models.retrieve("workflows").owned_by == "darkroom"
    with pytest.raises(openai.NotFoundError, match="no model 'nobody'"):
        client.models.retrieve("nobody")


def test_errors_are_the_librarys_own(running: Stack, client: OpenAI, opened: Clients) -> None:
    with pytest.raises(openai.BadRequestError, match="there is no model 'dall-e-3'") as raised:
        client.images.generate(prompt="x", model="dall-e-3")
    assert (raised.value.param, raised.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.generate(prompt="x", n=11, background="transparent")
    assert {fault["path"] for fault in raised.value.body["errors"]} == {"background", "n"}  # type: ignore[index]
    with pytest.raises(openai.AuthenticationError, match="Bearer") as refused:
        opened(api_key="wrong").images.generate(prompt="x")
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="sdruntime", messages=[])
    with pytest.raises(openai.APIStatusError) as large:
        client.images.edit(prompt="x", image=bytes(7_000_000))
    assert large.value.status_code == 413
    assert running.facts.api_key not in str(large.value)


def test_a_task_that_the_runtime_refuses_is_no_server_error(opened: Clients, running: Stack) -> None:
    before = submissions(running)
    with pytest.raises(openai.BadRequestError, match="failed") as raised:
        opened().images.edit(prompt="x", image=png()[:60], model="sdruntime")
    assert raised.value.status_code == 400
    assert submissions(running) - before == 1


@pytest.mark.parametrize("hides", [False, True])
def test_the_librarys_own_retries_join_one_task(running: Stack, opened: Clients, hides: bool) -> None:
    """The door gives up in time and says so; or, where it cannot know, the client gives up."""
    before = submissions(running)
    told = {"default_headers": {"x-stainless-read-timeout": "600"}} if hides else {}
    client = opened(timeout=1.5, max_retries=8, **told)
    reply = client.images.generate(prompt=f"a river, {hides}", model="slow", size="64x64")
    assert picture((reply.data or [])[0].b64_json).size == (64, 64)
    assert submissions(running) - before == 1


def test_when_patience_ends_the_error_names_the_task(running: Stack, opened: Clients) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        opened(timeout=1.0, max_retries=0).images.generate(prompt="a long river", model="slow")
    assert (raised.value.status_code, raised.value.code) == (504, "task_in_work")
    task = raised.value.body["task"]  # type: ignore[index]
    assert f"/v1alpha2/tasks/{task}" in raised.value.message
    headers = {"x-api-key": running.facts.api_key}
    wait_for(
        lambda: (
            running.http.get(f"{running.facts.endpoint}/v1alpha2/tasks/{task}", headers=headers).json()["status"]
            == "completed"
        ),
        "the task's end",
    )


def test_a_stream_tells_its_end(client: OpenAI) -> None:
    events = list(client.images.generate(prompt="a mill", stream=True, partial_images=2, n=2, size="64x64"))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [picture(event.b64_json).size for event in events] == [(64, 64)] * 2
    edited = list(client.images.edit(prompt="a mill", image=png(), stream=True))
    assert [event.type for event in edited] == ["image_edit.completed"]


def test_a_stream_tells_its_error(opened: Clients) -> None:
    with pytest.raises(openai.APIError, match="failed"):
        list(opened().images.edit(prompt="x", image=png()[:60], model="sdruntime", stream=True))


def test_a_stream_lives_on_while_its_task_runs(running: Stack) -> None:
    headers = {"Authorization": f"Bearer {running.facts.api_key}"}
    body = {"prompt": "a weir", "model": "slow", "stream": True}
    began, first = time.monotonic(), 0.0
    with running.http.stream(
        "POST", f"{running.facts.endpoint}/v1/images/generations", json=body, headers=headers
    ) as it:
        lines = []
        for line in it.iter_lines():
            first = first or time.monotonic() - began
            lines.append(line)
    assert first < SLOW_SECONDS < time.monotonic() - began
    assert any(line.startswith(": img-") and " running" in line for line in lines)


def test_as_litellm_sends_it(running: Stack) -> None:
    """Extras on the top level; a list of pictures, each under its path on the sender's machine."""
    url, headers = f"{running.facts.endpoint}/v1", {"Authorization": f"Bearer {running.facts.api_key}"}
    body = {"model": "sdruntime", "prompt": "a barn", "n": 1, "steps": 3, "seed": 5, "user": "u1"}
    made = running.http.post(f"{url}/images/generations", json=body, headers=headers)
    assert made.json()["data"][0]["b64_json"]
    files = [("image[]", ("/home/me/private/barn.png", png(), "image/png"))]
    form = {"model": "sdruntime", "prompt": "a red barn", "n": "1"}
    edited = running.http.post(f"{url}/images/edits", data=form, files=files, headers=headers)
    assert edited.json()["data"][0]["b64_json"], edited.text
    assert running.logged("/home/me/private") == []


def test_as_open_webui_sends_it(running: Stack) -> None:
    """Numbers and the format by hand, a fixed name of a model, and its users' own JSON besides."""
    headers = {"Authorization": f"Bearer {running.facts.api_key}", "Content-Type": "application/json"}
    body = {
        "model": "workflows",
        "prompt": "a pier",
        "n": 1,
        "size": "512x512",
        "response_format": "b64_json",
        "steps": 2,
    }
    made = running.http.post(f"{running.facts.endpoint}/v1/images/generations", json=body, headers=headers)
    assert picture(made.json()["data"][0]["b64_json"]).size == (512, 512)
    body["model"] = "gpt-image-2"
    refused = running.http.post(f"{running.facts.endpoint}/v1/images/generations", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
