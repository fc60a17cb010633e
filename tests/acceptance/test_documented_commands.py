"""The commands that the documents show a newcomer, typed into a shell beside a stack that runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from darkroom import client
from tests.acceptance.conftest import Stack
from tests.command_line import write_program

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the documents show curl")


def commands(document: str, heading: str) -> str:
    """What stands in a section's blocks of shell commands, without what runs until Ctrl-C."""
    section = re.split(
        r"^#+ ", (ROOT / document).read_text().partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE
    )
    found = re.findall(r"^```sh\n(.*?)^```", section[0], re.MULTILINE | re.DOTALL)
    assert found, f"{document} has no commands below {heading}"
    return "\n".join(block for block in found if not block.startswith("make "))


def typed(stack: Stack, text: str) -> str:
    """Run the commands where the stack runs; what they print. The first that fails fails the test."""
    bin_folder = stack.folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    write_program(bin_folder / "darkroom")
    text = text.replace("http://127.0.0.1:8000/prod", stack.facts.endpoint).replace("curl ", "curl --fail --silent ")
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "endpoint": stack.facts.endpoint,
        "api_key": stack.facts.api_key,
    }
    done = subprocess.run(
        [str(shutil.which("bash")), "-euxo", "pipefail", "-c", text],
        cwd=stack.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_first_request(stack: Stack) -> None:
    said = typed(stack, commands("README.md", "A first request"))
    assert '"id_task":"test-t2i"' in said.replace(" ", "")
    saved = sorted((stack.folder / "pictures").glob("*.png"))
    assert saved
    assert saved[0].read_bytes().startswith(PNG)


def test_the_page_for_those_who_come_from_elsewhere(stack: Stack) -> None:
    first = typed(stack, commands("docs/from-replicate.md", "With curl"))
    assert first.count("order-17") > 3
    said = typed(stack, commands("docs/from-replicate.md", "With the command line"))
    assert "order-17" in said
    assert (stack.folder / "pictures").is_dir()


def test_the_clients_page(stack: Stack) -> None:
    content = {"prompt": "A dog", "steps": 8, "width": 64, "height": 64}
    metadata = {"id": "my-dog", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"}
    assert stack.post({"task": {"metadata": metadata, "content": content}}).status_code == 200
    assert "sdruntime" in typed(stack, commands("docs/client.md", "On the command line"))


def test_the_page_calls_methods_that_there_are() -> None:
    page = (ROOT / "docs" / "from-replicate.md").read_text()
    named: dict[str, Any] = {"client": client.Client, "job": client.Job}
    found = re.findall(r"`(client|job)\.(\w+)\(", page)
    assert len(found) >= 7
    for whose, method in found:
        assert callable(getattr(named[whose], method)), f"{whose}.{method}"


def test_one_key_is_one_task(stack: Stack) -> None:
    """What the page says of the submission that it shows."""
    key = {"x-api-key": stack.facts.api_key}
    submission = commands("docs/from-replicate.md", "With curl").replace("order-17", "order-19")
    first = typed(stack, submission[: submission.index("}'") + 2])
    assert typed(stack, submission[: submission.index("}'") + 2]) == first
    listed = httpx.get(f"{stack.facts.endpoint}/v1alpha2/tasks?limit=100", headers=key, trust_env=False).json()["tasks"]
    assert [task["id"] for task in listed].count("order-19") == 1
