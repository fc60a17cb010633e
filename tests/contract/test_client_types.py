"""A user's project under strict type checkers: what the client takes and returns is known to them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
import asyncio
from pathlib import Path

from darkroom.client import AsyncClient, Client, TaskFailed, WaitTimeout, image_to_image, text_to_image, upscale

def work() -> list[Path]:
    with Client("http://127.0.0.1:8000/prod", "key") as client:
        job = client.submit(text_to_image("a dog", runtime="r", cfg_scale=6.5, id="my-dog", context={"order": 17}))
        for view in job.events(timeout_seconds=9):
            print(view.status.value, view.created_at.isoformat())
        try:
            pictures = job.pictures()
        except TaskFailed as error:
            print(error.task_id, error.retryable)
        except WaitTimeout as error:
            print(error.task_id)
        else:
            print(pictures[0].name.upper(), len(pictures[0].data))
        for outcome in client.map([upscale(b"", runtime="r"), image_to_image("x", Path("a.png"), runtime="r")]):
            print(outcome.task_id, len(outcome.pictures), outcome.error)
        return job.save(Path("pictures"))

async def same() -> None:
    async with AsyncClient() as client:
        job = await client.submit(text_to_image("a dog", runtime="r"))
        async for view in job.events():
            print(view.status)
        print(await job.pictures())

print(work())
asyncio.run(same())
"""
BAD = """
from darkroom.client import Client, text_to_image
with Client() as client:
    client.submit(text_to_image("a dog", runtime="r", cfg_scale="much"))
    client.submit(text_to_image("a dog", runtime="r", no_such_option=1))
    client.submit(17)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    return tmp_path


def test_mypy_is_content_and_finds_mistakes(project: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", str(project / "cache")]
    good = subprocess.run([*command, "good.py"], cwd=project, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    bad = subprocess.run([*command, "bad.py"], cwd=project, capture_output=True, text=True, check=False)
    assert [int(line.split(":")[1]) for line in bad.stdout.splitlines() if ": error:" in line] == [4, 5, 6], bad.stdout


def test_pyright_is_content_and_finds_mistakes(project: Path) -> None:
    (project / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, "good.py", "bad.py"], cwd=project, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in found if one["severity"] == "error"
    }
    assert errors == {("bad.py", 4), ("bad.py", 5), ("bad.py", 6)}, found
