"""PyPI's `darkroom` is somebody else's, and nobody holds `darkroom-diffusion` there: no index is asked for either."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import MissingExtra

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"darkroom([-_.]+diffusion)?", re.IGNORECASE)
# A command that fetches packages, and what stands after it up to the end of the command.
COMMAND = re.compile(
    r"\b(?:(?:pip3?|pipx)\s[^\n`]*?\b(?:install|download|wheel|run|inject)|uv\s+(?:add|pip\s+\w+|tool\s+\w+)|uvx|poetry\s+add|pdm\s+add)\b"
    r"(?P<rest>[^\n`;&|)]*)"
)
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("examples/*/pyproject.toml"))]
SKIPPED = {".git", "node_modules", "__pycache__", "cdk.out", ".darkroom", "pictures"}


def asked_of_an_index(text: str) -> list[str]:
    """The commands of a text that fetch a package by our name; a path, a wheel and an address are none."""
    words = ((match[0], re.split(r"[\s'\"]+", match["rest"])) for match in COMMAND.finditer(text))
    return [command for command, rest in words if any(OURS.fullmatch(_name(word)) for word in rest)]


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~;@,:]", requirement, maxsplit=1)[0]


def texts() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in SKIPPED or part.startswith(".venv") or part.endswith("_cache") for part in parts)
        if not hidden and path.is_file() and path != Path(__file__) and path.stat().st_size < 2**20:
            yield path


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("pip install 'darkroom[agent]'", True),
        ("pip install darkroom", True),
        (".venv/bin/python -m pip install --quiet darkroom-diffusion>=1", True),
        ("uv add Darkroom_Diffusion", True),
        ("uvx darkroom demo", True),
        ("pip install '.[agent]'", False),
        ("pip install ./darkroom-0.1.0-py3-none-any.whl", False),
        ("pip install -r requirements.txt && darkroom up", False),
        ("pip install '.[deploy]'` and run `darkroom", False),
    ],
)
def test_what_asks_an_index_for_our_name_is_recognised(text: str, asks: bool) -> None:
    assert bool(asked_of_an_index(text)) is asks


def test_no_text_tells_anybody_to_fetch_our_name_from_an_index() -> None:
    found = {}
    for path in texts():
        try:
            commands = asked_of_an_index(path.read_text())
        except UnicodeDecodeError:
            continue
        if commands:
            found[str(path.relative_to(ROOT))] = commands
    assert found == {}


def test_a_missing_extra_names_the_checkout() -> None:
    text = str(MissingExtra("agent", "`darkroom agent`"))
    assert "pip install '.[agent]'" in text
    assert asked_of_an_index(text) == []


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_an_extra_of_our_own_names_us(path: Path) -> None:
    """An extra is installed with us, so our name is there already; whatever else names us would be fetched."""
    document = tomllib.loads(path.read_text())
    project = document["project"]
    named = [
        *document.get("build-system", {}).get("requires", ()),
        *project.get("dependencies", ()),
        *(item for group in document.get("dependency-groups", {}).values() for item in group if isinstance(item, str)),
    ]
    if project["name"] != "darkroom-diffusion":
        named += [item for extra in project.get("optional-dependencies", {}).values() for item in extra]
    assert [item for item in named if OURS.fullmatch(_name(item.strip()))] == []
    own = [item for extra in project.get("optional-dependencies", {}).values() for item in extra]
    assert [item for item in own if _name(item) == "darkroom"] == []


def test_the_distribution_is_ours() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert document["project"]["name"] == "darkroom-diffusion"
    assert set(document["project"]["scripts"]) == {"darkroom"}
