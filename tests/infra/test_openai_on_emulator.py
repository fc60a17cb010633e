"""OpenAI's API as deployed, in an emulator: the Lambda handler behind the second REST API, asked with a Bearer key."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from PIL import Image

from tests.infra.deployed import Deployed, agent_beside_fake, until


class OpenAiDoor:
    """The second API of a deployment."""

    def __init__(self, deployed: Deployed) -> None:
        api = deployed.outputs["OpenAIBaseUrl"].removeprefix("https://").partition(".")[0]
        self.url = f"{deployed.settings.endpoint_url}/restapis/{api}/{deployed.stage}/_user_request_/v1"
        self.http = httpx.Client(trust_env=False, timeout=60)
        # The emulator runs the authorizer, and yet looks for keys in x-api-key alone.
        self.key = {"Authorization": f"Bearer {deployed.api_key}", "x-api-key": deployed.api_key}

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        return self.http.request(
            method, f"{self.url}/{path}", headers=self.key if headers is None else headers, **options
        )


@pytest.fixture
def door(deployed: Deployed) -> Iterator[OpenAiDoor]:
    opened = OpenAiDoor(deployed)
    yield opened
    opened.http.close()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guessed"}, {"Authorization": "Basic x"}])
def test_without_the_key_the_answer_is_401_in_openais_form(door: OpenAiDoor, headers: dict[str, str]) -> None:
    reply = door.send("GET", "models", headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")


def test_models_are_listed(door: OpenAiDoor) -> None:
    reply = door.send("GET", "models")
    assert reply.status_code == 200, reply.text
    ids = [model["id"] for model in reply.json()["data"]]
    assert ids == ["sdruntime", "sdruntime/v1-5-pruned-emaonly.safetensors", "anymodel", "workflows"]
    assert door.send("GET", f"models/{ids[1]}").json()["id"] == ids[1]


def test_pictures_are_made_and_changed(deployed: Deployed, door: OpenAiDoor, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "png")
    with agent_beside_fake(deployed, "sdruntime", "sdwebui", tmp_path):
        made = door.send("POST", "images/generations", json={"prompt": "a cat", "size": "128x64"})
        assert made.status_code == 200, made.text
        picture = base64.b64decode(made.json()["data"][0]["b64_json"])
        assert Image.open(io.BytesIO(picture)).size == (128, 64)
        files = {"image": ("upload", buffer.getvalue(), "application/octet-stream")}
        changed = door.send("POST", "images/edits", data={"prompt": "a dog", "n": "2"}, files=files)
        assert changed.status_code == 200, changed.text
        assert len(changed.json()["data"]) == 2


def test_openais_own_library_reads_what_this_door_says(deployed: Deployed, door: OpenAiDoor, tmp_path: Path) -> None:
    headers = {"x-api-key": deployed.api_key}
    with (
        agent_beside_fake(deployed, "sdruntime", "sdwebui", tmp_path),
        OpenAI(base_url=door.url, api_key=deployed.api_key, default_headers=headers) as client,
    ):
        assert "sdruntime" in [model.id for model in client.models.list()]
        reply = client.images.generate(prompt="a kite", n=2, size="64x64")
        assert len([one.b64_json for one in reply.data or []]) == 2
        events = list(client.images.generate(prompt="a swan", stream=True))  # in one piece, at the end
        assert [event.type for event in events] == ["image_generation.completed"]
        with pytest.raises(openai.BadRequestError) as raised:
            client.images.generate(prompt="a swan", model="nobody")
        assert raised.value.param == "model"
    with (
        OpenAI(base_url=door.url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_a_retry_joins_the_first_tries_task(deployed: Deployed, door: OpenAiDoor, tmp_path: Path) -> None:
    def ask(retries: int) -> httpx.Response:
        # Who waits for two seconds hears after one that the task goes on: nobody does it yet.
        told = {"x-stainless-retry-count": str(retries), "x-stainless-read-timeout": "2"}
        return door.send("POST", "images/generations", {**door.key, **told}, json={"prompt": "a heron"})

    first = ask(0)
    assert (first.status_code, first.json()["error"]["code"]) == (504, "task_in_work")
    assert ask(1).status_code == 504
    with agent_beside_fake(deployed, "sdruntime", "sdwebui", tmp_path):
        reply = until(lambda: found if (found := ask(2)).status_code == 200 else None, "the picture")
    assert reply.json()["task"] == first.json()["error"]["task"]
    items = deployed.client("dynamodb").scan(TableName=deployed.outputs["TaskTable"])["Items"]
    assert sum(item.get("task_id", {}).get("S") == reply.json()["task"] for item in items) == 1


def test_what_is_wrong_is_told_in_openais_form(door: OpenAiDoor) -> None:
    reply = door.send("POST", "images/generations", json={"prompt": "a cat", "n": 0})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "n")
