"""The Lambda functions' code, put together without Docker.

Darkroom's rooms that a function needs are copied, and what they depend on is laid beside them: for AWS, wheels for
the function's own platform, which pip fetches; for the emulator, what is installed where it runs.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import darkroom
from darkroom.errors import StackFailure

LAMBDA_PYTHON = "3.14"
LAMBDA_ARCHITECTURE = "arm64"


@dataclass(frozen=True)
class Bundled:
    """What a function imports; everything else would only make cold starts slower. `handler` is what Lambda calls.

    botocore and boto3 are part of Lambda's own Python image.
    """

    handler: str
    rooms: tuple[str, ...]
    dependencies: tuple[str, ...]


_LANGUAGE = ("__init__.py", "redaction.py", "errors", "logs.py", "settings", "aws", "policy", "tasks")
FRONT_DOOR = Bundled(
    handler="darkroom.api.lambda_entry.handler", rooms=(*_LANGUAGE, "openai", "api"), dependencies=("msgspec",)
)
# aiohttp, and what it depends on.
SENDER = Bundled(
    handler="darkroom.webhooks.lambda_entry.handler",
    rooms=(*_LANGUAGE, "metrics", "runtimes", "webhooks"),
    dependencies=(
        "msgspec",
        "aiohttp",
        "aiohappyeyeballs",
        "aiosignal",
        "attrs",
        "frozenlist",
        "idna",
        "multidict",
        "propcache",
        "typing_extensions",
        "yarl",
    ),
)
_WHEEL_PLATFORMS = {"arm64": "manylinux2014_aarch64", "x86_64": "manylinux2014_x86_64"}
_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", "py.typed")

Run = Callable[[Sequence[str]], None]


def build_bundle_for_lambda(
    folder: Path, bundled: Bundled = FRONT_DOOR, *, run: Run | None = None, wheels: Path | None = None
) -> Path:
    """Write a function's code for AWS into `folder` and return it.

    `wheels` is a folder to take wheels from instead of the package index. Raises `StackFailure` when pip finds no wheel
    for the function's platform.
    """
    _copy_rooms(folder, bundled)
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in bundled.dependencies]
    source = ["--no-index", f"--find-links={wheels}"] if wheels is not None else []
    platform = f"--platform={_WHEEL_PLATFORMS[LAMBDA_ARCHITECTURE]}"
    target = ["--only-binary=:all:", platform, f"--python-version={LAMBDA_PYTHON}", "--implementation=cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--upgrade"]
    (run or _run_pip)([*pip, f"--target={folder}", *target, *source, *requirements])
    return folder


def build_bundle_for_here(folder: Path, bundled: Bundled = FRONT_DOOR) -> Path:
    """Write a function's code for the interpreter that runs this, from what is installed; return `folder`."""
    _copy_rooms(folder, bundled)
    for name in bundled.dependencies:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            if ".." not in file.parts and file.suffix not in (".pyc", ".pyi"):
                destination = folder / file
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), destination)
    return folder


def _copy_rooms(folder: Path, bundled: Bundled) -> None:
    """Copy a function's rooms into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    source = Path(darkroom.__file__).parent
    destination = folder / "darkroom"
    destination.mkdir(parents=True)
    for room in bundled.rooms:
        if (source / room).is_dir():
            shutil.copytree(source / room, destination / room, ignore=_NOT_SHIPPED)
        elif (source / room).is_file():
            shutil.copyfile(source / room, destination / room)


def _run_pip(command: Sequence[str]) -> None:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        problem = outcome.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise StackFailure(f"the Lambda function's code cannot be put together: {problem[0]}")
