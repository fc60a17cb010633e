"""Darkroom as it is installed elsewhere: the wheel with some of its extras, in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from darkroom.cli.main import COMMANDS

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Torch is in no environment of `make`: tests/unit/test_extras.py compares its lock with the others.
EXTRAS = sorted(set(PROJECT["optional-dependencies"]) - {"diffusers"})
UV = str(Path(sys.executable).parent / "uv")
OFFLINE = {**os.environ, "UV_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "100"}
OFFLINE.pop("PYTHONPATH", None)  # of a checkout
NOT_FETCHED = "not found in the cache"  # where pip has installed the locked files, uv has none of them


def run(*command: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=OFFLINE | options, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Environment:
    python: Path

    def install(self, wheel: Path, extras: tuple[str, ...]) -> None:
        """Install Darkroom with these extras, in the versions that are locked."""
        wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
        locked = str(ROOT / "requirements" / "test.txt")
        done = run(UV, "pip", "install", "--quiet", "--python", str(self.python), "--constraint", locked, wanted)
        if NOT_FETCHED in done.stderr and "CI" not in os.environ:
            pytest.skip("uv has not the locked packages in its cache")
        assert done.returncode == 0, done.stderr

    def darkroom(self, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        return run(str(self.python.parent / "darkroom"), *arguments, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    built = run(
        UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(out),
        str(ROOT),
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (found,) = out.glob("*.whl")
    return found


def made(folder: Path) -> Environment:
    done = run(UV, "venv", "--quiet", "--python", sys.executable, str(folder))
    assert done.returncode == 0, done.stderr
    return Environment(folder / "bin" / "python")


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With no extra at all."""
    environment = made(tmp_path_factory.mktemp("bare") / "venv")
    environment.install(wheel, ())
    return environment


# One command each; several, one after the other into one environment.
INSTALLATIONS = [
    (),
    *(((extra,),) for extra in EXTRAS),
    (("agent", "lambda"),),
    (("local",), ("deploy",)),
    (tuple(EXTRAS),),
]


@pytest.mark.parametrize("commands", INSTALLATIONS, ids=lambda commands: "+".join(map(",".join, commands)) or "none")
def test_extras_go_together_and_suffice(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, commands: tuple[tuple[str, ...], ...]
) -> None:
    # Always at the same place, so that what Python has compiled there for one environment serves the next.
    place = tmp_path_factory.getbasetemp() / "installed"
    shutil.rmtree(place, ignore_errors=True)
    environment = made(place)
    for extras in commands or ((),):
        environment.install(wheel, extras)
    checked = run(UV, "pip", "check", "--python", str(environment.python))
    assert checked.returncode == 0, checked.stderr
    installed = {extra for extras in commands for extra in extras}
    installed |= {"agent", "gateway", "inference", "provenance"} if "local" in installed else set()
    names = sorted(name for name, command in COMMANDS.items() if command.extra in (None, *installed))
    program = f"from darkroom.cli.main import COMMANDS, load\nfor name in {names}: load(name, COMMANDS[name])"
    loaded = run(str(environment.python), "-c", program, PYTHONPYCACHEPREFIX=f"{place}-compiled")
    assert loaded.returncode == 0, loaded.stderr


HELPS = [
    *((name,) for name in COMMANDS),
    ("cost", "refresh"), ("config", "values"), ("dlq", "redrive"), ("cache", "build"), ("provenance", "show"),
]  # fmt: skip


SHOW_HELP = """
def show_help(words):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main([*words, '--help']) == 0, words
    return text.getvalue()
"""
# Where all is installed, one after the other.
SHOW_ALL = f"""
import contextlib, io, json, sys
from darkroom.cli.main import main
{SHOW_HELP}
json.dump([show_help(words) for words in {HELPS!r}], sys.stdout)
"""
# Where it is not, what stands in for what is missing stays in the process: a fork for each. The libraries that are
# always there are imported before.
SHOW_EACH = f"""
import contextlib, io, json, os, sys
import httpx, msgspec, rich.console, rich.live, rich.panel, rich.progress, rich.table, typer
from darkroom.cli.main import main
{SHOW_HELP}
texts = []
for words in {HELPS!r}:
    readable, writable = os.pipe()
    if os.fork() == 0:
        with os.fdopen(writable, 'w') as out:
            out.write(show_help(words))
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as shown:
        texts.append(shown.read())
    assert os.wait()[1] == 0, words
json.dump(texts, sys.stdout)
"""


def helps(program: str, python: str, **options: str) -> dict[tuple[str, ...], str]:
    """What each command says of itself."""
    told = run(python, "-c", program, **options)
    assert told.returncode == 0, told.stderr
    return dict(zip(HELPS, json.loads(told.stdout), strict=True))


def test_every_command_shows_its_help_without_its_extra(bare: Environment) -> None:
    there = helps(SHOW_EACH, str(bare.python))
    complete = helps(SHOW_ALL, sys.executable, PYTHONPATH=str(ROOT / "src"))
    for words in HELPS:
        text, _, hint = there[words].partition("It does not run here yet: ")
        assert text == complete[words]
        assert "--help" in text
        # What the built-in runtime needs depends on its engine: it says so when it starts.
        assert bool(hint) is (COMMANDS[words[0]].extra not in (None, "inference")), words


def test_the_command_shows_its_help_where_it_is_installed(bare: Environment) -> None:
    shown = bare.darkroom("deploy", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--stack-name" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [("up",), ("gateway",), ("cost",), ("deploy", "--bucket", "--help"), ("dlq", "list"), ("plan", "--json")],
)
def test_what_cannot_run_says_which_extra_it_needs(bare: Environment, arguments: tuple[str, ...]) -> None:
    run = bare.darkroom(*arguments)
    extra = COMMANDS[arguments[0]].extra
    assert run.returncode == 2
    assert f"pip install '.[{extra}]'" in (run.stdout if "--json" in arguments else run.stderr)
    assert "Traceback" not in run.stderr


def test_options_are_completed_without_the_extra(bare: Environment) -> None:
    asked = {"_DARKROOM_COMPLETE": "complete_bash", "COMP_WORDS": "darkroom deploy --", "COMP_CWORD": "2"}
    completed = bare.darkroom(**asked)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert {"--stack-name", "--dry-run"} <= set(completed.stdout.split())


def test_who_completes_the_line_of_a_server_does_not_start_it(bare: Environment) -> None:
    asked = {"_DARKROOM_COMPLETE": "complete_bash", "COMP_WORDS": "darkroom gateway --", "COMP_CWORD": "2"}
    here = run(sys.executable, "-m", "darkroom", **asked, PYTHONPATH=str(ROOT / "src"))
    assert (here.returncode, here.stdout.split(), here.stderr) == (0, ["--help"], "")
    assert bare.darkroom(**asked).stdout == here.stdout
