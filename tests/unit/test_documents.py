"""The documents keep up with the code: variables, commands and links."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from darkroom.agent import agent as agent_module
from darkroom.api.exchange import HttpRequest
from darkroom.api.keys import ApiKeys
from darkroom.api.service import Service, Submission
from darkroom.cli.main import COMMANDS
from darkroom.errors import SettingsError
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import decode_catalogue
from darkroom.settings import (
    read_agent_settings,
    read_aws_settings,
    read_client_settings,
    read_front_door_settings,
    read_gateway_settings,
    read_runtime_settings,
)

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
_JSON = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ACTION = re.compile(r"\"((?:agent|aws|bucket|lease|message|provenance|queue|runtime|task)\.[a-z_]+)\"")


class AskedFor(Mapping[str, str]):
    """An empty environment that remembers which variables were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def variables_of(*readers: Callable[[Mapping[str, str]], object]) -> set[str]:
    environment = AskedFor()
    for read in readers:
        with suppress(SettingsError):  # everything is missing, which is all right: it was asked for
            read(environment)
    return environment.names


def documented(path: Path) -> set[str]:
    """The names that stand in the first column of a table."""
    rows = [line.split("|")[1] for line in path.read_text().splitlines() if line.startswith("|")]
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


def text_without_code(path: Path) -> str:
    return _FENCED.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """The fragments that headings can be linked by."""
    headings = _HEADING.findall(text_without_code(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def json_examples(path: Path) -> list[Any]:
    """Every JSON text in a document; one that is no JSON raises."""
    return [json.loads(text) for text in _JSON.findall(path.read_text())]


def test_every_variable_of_the_agent_is_documented() -> None:
    asked_for = variables_of(read_agent_settings)
    assert {"DARKROOM_GRACE_PERIOD_SECONDS", "RUNTIME_NAME", "AWS_REGION"} <= asked_for
    assert asked_for <= documented(ROOT / "docs" / "agent.md")


def test_every_variable_of_the_front_door_is_documented() -> None:
    asked_for = variables_of(read_gateway_settings, read_front_door_settings, read_aws_settings)
    assert {"DARKROOM_API_KEYS", "DARKROOM_RUNTIMES"} <= asked_for
    assert asked_for <= documented(ROOT / "docs" / "api.md")


def test_every_variable_of_the_client_is_documented() -> None:
    asked_for = variables_of(read_client_settings)
    assert asked_for <= documented(ROOT / "docs" / "client.md")
    assert asked_for


def test_every_variable_of_the_built_in_runtime_is_documented() -> None:
    asked_for = variables_of(read_runtime_settings)
    assert asked_for <= documented(ROOT / "docs" / "built-in-runtime.md")
    assert asked_for


@pytest.mark.parametrize("name", ["agent.md", "api.md", "client.md", "built-in-runtime.md"])
def test_no_document_names_a_variable_that_nothing_reads(name: str) -> None:
    exist = variables_of(
        read_agent_settings,
        read_gateway_settings,
        read_front_door_settings,
        read_client_settings,
        read_runtime_settings,
    )
    assert set(re.findall(r"\bDARKROOM_[A-Z_]+\b", (ROOT / "docs" / name).read_text())) <= exist


def test_every_command_stands_in_the_readme() -> None:
    assert {f"darkroom {name}" for name in COMMANDS} <= documented(ROOT / "README.md")


def test_the_agents_log_lines_are_the_documented_ones() -> None:
    folder = Path(agent_module.__file__).parent
    written = {action for path in folder.glob("*.py") for action in _ACTION.findall(path.read_text())}
    ends = {"task.completed", "task.failed", "task.cancelled", "task.expired"}  # named by the status
    told = {name for name in documented(ROOT / "docs" / "agent.md") if re.fullmatch(r"[a-z]+\.[a-z_]+", name)}
    assert told == written | ends


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(text_without_code(path)):
        if "://" in link:
            continue
        file, _, fragment = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if fragment and target.suffix == ".md":
            assert fragment in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_of_json_are_json(path: Path) -> None:
    json_examples(path)


def test_the_example_requests_are_let_in() -> None:
    examples = json_examples(ROOT / "docs" / "api.md")
    lists = [example for example in examples if isinstance(example, list) and isinstance(example[0], dict)]
    (runtimes,) = (example for example in lists if "type" in example[0])
    (callers,) = (example for example in lists if "type" not in example[0])
    assert ApiKeys([], decode_callers(json.dumps(callers))).find("test") == callers[0]["name"]
    service = Service(decode_catalogue(json.dumps(runtimes)), "bucket")
    requests = [example for example in examples if "task" in example or "alwayson_scripts" in example]
    assert len(requests) == 2
    for example in requests:
        path = "/v1alpha2" if "task" in example else "/v1alpha1"
        body = json.dumps(example).encode()
        plan = service.plan(HttpRequest(method="POST", path=path, content_type="application/json", body=body), "one", 0)
        assert isinstance(plan, Submission), plan


def test_the_rooms_are_those_that_imports_are_checked_by() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    wanted = [set(layer.split(" | ")) for layer in layers if layer != "__main__"]
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("| room |") : text.index("Some rules hold beyond the list")]
    rows = [set(re.findall(r"`([a-z]+)`", row.split("|")[1])) for row in table.splitlines()[2:] if row.startswith("|")]
    assert rows == wanted
