"""What the documents show works as it is shown: requests, messages, curl's bodies, the SDK's calls, and the bounds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from darkroom import client
from darkroom.api.exchange import HttpRequest
from darkroom.api.service import Service, Submission
from darkroom.inference import requests as bodies
from darkroom.policy.admission import readmit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.field_rules import ListOf, Number
from darkroom.policy.sdwebui_fields import FIELDS, ContentLimits
from darkroom.samples import SAMPLES, read_sample
from darkroom.tasks.message import decode_message
from darkroom.tasks.task import Task, TaskKind

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
SPECS = (
    RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors"),
    RuntimeSpec(name="workflows", type="comfyui"),
)
DOOR = Service(Catalogue(SPECS), "outputs3bucket")
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IN_A_COMMAND = re.compile(r"--(?:data|message) '(\{.*?\n *\})'", re.DOTALL)


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.name, text)
        for path in DOCUMENTS
        for found, text in _FENCED.findall(path.read_text())
        if found == language
    ]


def _texts() -> list[tuple[str, Any]]:
    """Every JSON of the documents, by itself or in a command of the shell."""
    commands = [(name, body) for name, text in _blocks("sh") for body in _IN_A_COMMAND.findall(text)]
    return [(name, json.loads(text)) for name, text in (*_blocks("json"), *commands)]


def _requests() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, one)
        for name, one in _texts()
        if isinstance(one, dict) and (isinstance(one.get("task"), dict) or "alwayson_scripts" in one)
    ]


def _messages() -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in _texts() if isinstance(one, dict) and {"metadata", "content"} <= set(one)]


def _admitted(body: dict[str, Any]) -> None:
    path = "/v1alpha2" if "task" in body else "/v1alpha1"
    text = json.dumps(body).encode()
    plan = DOOR.plan(HttpRequest(method="POST", path=path, content_type="application/json", body=text), "one", 0)
    assert isinstance(plan, Submission), plan
    assert not plan.reply.body.warnings


@pytest.mark.parametrize(("name", "body"), _requests())
def test_the_requests_that_documents_show_are_let_in_without_a_warning(name: str, body: dict[str, Any]) -> None:
    _admitted(body)


@pytest.mark.parametrize("name", SAMPLES)
def test_so_are_the_guides_samples(name: str) -> None:
    body = read_sample(name)
    if "task" in body:
        runtime = "workflows" if body["task"]["metadata"]["tasktype"] == "pipeline" else "sdruntime"
        body["task"]["metadata"]["runtime"] = runtime
    _admitted(body)


@pytest.mark.parametrize(("name", "message"), _messages())
def test_the_messages_that_documents_show_are_tasks(name: str, message: dict[str, Any]) -> None:
    assert isinstance(readmit(decode_message(json.dumps(message)), SPECS[0]), Task)


def test_examples_were_found() -> None:
    assert {name for name, _ in _requests()} == {"README.md", "api.md", "from-replicate.md", "webhooks.md"}
    assert {name for name, _ in _messages()} == {"README.md", "api.md"}


@pytest.mark.parametrize(("name", "text"), [one for one in _blocks("python") if "darkroom.client" in one[1]])
def test_the_sdks_examples_make_requests_that_are_let_in(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines that make requests are run; what sends them is not."""
    made: list[client.TaskRequest] = []
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    calls = re.findall(r"^(?:.*[( ])?((?:text_to_image|image_to_image|upscale|pipeline)\(.*\))", text, re.MULTILINE)
    assert calls, text
    for call in calls:
        scope = {one: getattr(client, one) for one in client.__all__} | {"Path": Path}
        made.append(eval(_balanced(call), scope))  # noqa: S307 - our own documents
    for request in made:
        body = request.to_document()
        if body["task"]["metadata"]["tasktype"] == "pipeline":  # a workflow of one node, cut short for the page
            body["task"]["content"]["2"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}
        _admitted(body)


def _balanced(call: str) -> str:
    depth = 0
    for place, character in enumerate(call):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ")" and depth == 0:
            return call[: place + 1]
    raise AssertionError(call)


def _rows() -> dict[str, str]:
    text = (ROOT / "docs" / "api.md").read_text()
    table = text[text.index("### What is checked in the content") : text.index("### Links")]
    return {
        name: row.split("|")[2]
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }


def _rule(name: str) -> Any:
    return next(fields.rules[name] for fields in FIELDS.values() if name in fields.rules)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("steps", "up to {maximum}"), ("hr_second_pass_steps", "up to {maximum}"),
        ("width", "{minimum} to {maximum}; a multiple of {multiple_of}"), ("height", "{minimum} to {maximum}"),
        ("batch_size", "{minimum} to {maximum};"), ("n_iter", "; {minimum} to {maximum}"),
        ("denoising_strength", "{minimum} to {maximum}"), ("upscaling_resize", "above {above}, up to {maximum}"),
        ("gfpgan_visibility", "{minimum} to {maximum}"), ("codeformer_visibility", "{minimum} to {maximum}"),
        ("codeformer_weight", "{minimum} to {maximum}"), ("extras_upscaler_2_visibility", "{minimum} to {maximum}"),
    ],
)  # fmt: skip
def test_the_table_of_bounds_says_what_the_rules_do(name: str, says: str) -> None:
    rule = _rule(name)
    assert isinstance(rule, Number)
    maximum = rule.maximum if rule.limit is None else getattr(ContentLimits(), rule.limit)
    numbers = {"minimum": rule.minimum, "maximum": maximum, "above": rule.above, "multiple_of": rule.multiple_of}
    told = {key: None if number is None else f"{number:g}" for key, number in numbers.items()}
    assert says.format(**told) in _rows()[name]


def test_the_largest_seed_is_the_documented_one() -> None:
    assert "2^64 - 1" in _rows()["seed"]
    assert _rule("seed").maximum == 2**64 - 1


BODIES: dict[TaskKind, type[bodies.Body]] = {
    TaskKind.TEXT_TO_IMAGE: bodies.TextToImageBody,
    TaskKind.IMAGE_TO_IMAGE: bodies.ImageToImageBody,
    TaskKind.EXTRA_SINGLE_IMAGE: bodies.ExtraSingleBody,
    TaskKind.EXTRA_BATCH_IMAGES: bodies.ExtraBatchBody,
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_built_in_runtime_has_the_fields_and_the_upper_bounds_of_the_table(kind: TaskKind) -> None:
    properties = BODIES[kind].model_json_schema()["properties"]
    rules = FIELDS[kind].rules
    # Words of the guide, for its agents: the adapter takes them out.
    assert set(rules) - set(properties) <= {"alwayson_scripts", "s3_output_path"}
    assert set(properties) <= set(rules)
    for name, rule in rules.items():
        schemas = properties.get(name, {})
        schema = next((one for one in schemas.get("anyOf", [schemas]) if one.get("type") != "null"), {})
        if isinstance(rule, Number) and (rule.limit or rule.maximum is not None):
            maximum = rule.maximum if rule.limit is None else getattr(ContentLimits(), rule.limit)
            assert schema["maximum"] == maximum, name
        if isinstance(rule, ListOf) and rule.most is not None:
            assert schema["maxItems"] == rule.most, name
