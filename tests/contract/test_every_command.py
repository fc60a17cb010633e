"""What holds for every command: its help and its tables in 80 columns, `--json`, and errors for scripts.

The commands are found from the command line itself, so that a new one is looked at too.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import typer

from darkroom.cli.main import COMMANDS, load, main
from darkroom.local.stack_file import StackFacts, write_stack_file
from darkroom.policy.callers import CallerSpec

LONG = "a-name-of-forty-characters-as-they-may-be"
URL = f"s3://bucket/output/{LONG}/{LONG}-abcd-1.png"
# Commands without `--json`, and why.
NO_RESULT = {
    **dict.fromkeys(("agent", "gateway", "sender", "runtime", "mcp", "up", "console"), "it serves, and has no result"),
    "config schema": "it prints JSON in any case",
}


class Leaf(NamedTuple):
    """A command that can be run: its words, and its options' names."""

    words: tuple[str, ...]
    options: frozenset[str]


def leaves() -> list[Leaf]:
    app = typer.Typer()
    for name, command in COMMANDS.items():
        function = load(name, command)
        if isinstance(function, typer.Typer):
            app.add_typer(function, name=name)
        else:
            app.command(name)(function)
    return list(_below((), typer.main.get_command(app)))


def _below(words: tuple[str, ...], command: Any) -> Iterator[Leaf]:
    commands = getattr(command, "commands", {})
    if not commands or getattr(command, "invoke_without_command", False):
        yield Leaf(words, frozenset(option for parameter in command.params for option in parameter.opts))
    for name, each in commands.items():
        yield from _below((*words, name), each)


LEAVES = leaves()
FOR_SCRIPTS = [leaf for leaf in LEAVES if "--json" in leaf.options]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


def run(*words: str, terminal: bool = False) -> tuple[int, str, str]:
    """Run a command here; returns its exit code, and what it has written to standard output and error."""
    output, errors = Terminal() if terminal else io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main(words)
    return code, output.getvalue(), errors.getvalue()


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: " ".join(leaf.words))
def test_help_fits_a_terminal_of_eighty_columns(leaf: Leaf) -> None:
    code, said, _ = run(*leaf.words, "--help", terminal=True)
    assert code == 0
    assert max(map(len, said.splitlines())) <= 80
    assert "Usage" in said


def test_every_command_with_a_result_tells_it_to_scripts() -> None:
    without = {" ".join(leaf.words) for leaf in LEAVES if leaf not in FOR_SCRIPTS}
    assert without == set(NO_RESULT)


@pytest.mark.parametrize("leaf", FOR_SCRIPTS, ids=lambda leaf: " ".join(leaf.words))
def test_a_wrong_command_line_is_told_to_a_script_as_json(leaf: Leaf) -> None:
    code, said, errors = run(*leaf.words, "--json", "--no-such-option")
    assert (code, errors) == (2, "")
    (line,) = said.splitlines()
    told = json.loads(line)["error"]
    assert told["type"] == "WrongCommandLine"
    assert told["retryable"] is False
    assert told["errors"][0]["path"] == "--no-such-option"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("status", "--json"), "TASK"),
        (("list", "--limit", "none", "--json"), "--limit"),
        (("webhooks", "resend", "--json"), ""),
        (("stattus", "--json"), ""),
        (("list", "--since", "whenever", "--json"), ""),
    ],
)
def test_whatever_is_wrong_with_a_command_line_is_json_with_exit_code_2(words: tuple[str, ...], path: str) -> None:
    code, said, errors = run(*words)
    assert (code, errors) == (2, "")
    told = json.loads(said)["error"]
    assert path in [fault["path"] for fault in told.get("errors", [{"path": ""}])]


def test_a_person_is_told_in_words_on_standard_error() -> None:
    code, said, errors = run("status", "--no-such-option")
    assert (code, said) == (2, "")
    assert "No such option" in errors


VIEW: dict[str, Any] = {
    "id": LONG,
    "status": "completed",
    "result": True,
    "runtime": LONG,
    "output_location": "s3://bucket/output/",
    "created_at": "2026-11-25T08:00:00Z",
    "updated_at": "2026-11-25T08:00:00Z",
    "image_url": [URL],
}
RUNTIME = {
    "name": LONG,
    "type": "sdwebui",
    "tasktypes": ["text-to-image"],
    "models": [f"{LONG}.safetensors"],
    "agents_ready": 1,
    "waiting": 7,
    "in_work": 1,
    "estimated_wait_seconds": 40.5,
}
USAGE = {
    "caller": LONG,
    "runtime": LONG,
    "day": "2026-11-25",
    "tasks": 10,
    "completed": 9,
    "failed": 1,
    "cancelled": 0,
    "expired": 0,
    "pictures": 9,
    "device_seconds": 90.0,
    "estimated_usd": 0.1,
}
DELIVERY = {
    "id": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "task_id": LONG,
    "event": "task.completed",
    "url": f"https://{LONG}.example/hook",
    "status": "failed",
    "attempts": 12,
    "last_error": ("the receiver answered with 503 and many words " * 3).strip(),
    "created_at": "2026-11-25T08:00:00Z",
    "updated_at": "2026-11-25T08:00:00Z",
}


class FrontDoor(BaseHTTPRequestHandler):
    """A front door whose names are all long."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        replies = {
            "runtimes": {"runtimes": [RUNTIME]},
            "tasks": {"tasks": [VIEW]},
            "usage": {"from": "2026-11-01", "to": "2026-11-25", "usage": [USAGE]},
            "deliveries": {"deliveries": [DELIVERY]},
        }
        body = json.dumps(replies.get(path.rpartition("/")[2], VIEW)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def door() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FrontDoor)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/prod"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def at_the_door(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_ENDPOINT", door)
    monkeypatch.setenv("DARKROOM_API_KEY", "key")


@pytest.fixture
def stack_file(door: str, tmp_path: Path) -> None:
    """A stack in this folder, of which a caller's name is long."""
    folder = tmp_path / ".darkroom"
    folder.mkdir()
    facts = StackFacts(
        endpoint=door,
        api_key="key",
        aws_endpoint_url=door,
        region="us-east-1",
        input_topic_arn="in",
        output_topic_arn="out",
        output_bucket="bucket",
        task_table="table",
        runtimes=[],
        pid=1,
        callers=[
            CallerSpec(name=LONG, rate_limit=10.5, burst_limit=1000, monthly_tasks=1_000_000, role="operator"),
        ],
    )
    write_stack_file(folder, facts)


SHOWING = [
    pytest.param(("callers", "list"), LONG, id="callers list"),
    pytest.param(("status", LONG), URL, id="status"),
    pytest.param(("list",), LONG, id="list"),
    pytest.param(("runtimes",), f"{LONG}.safetensors", id="runtimes"),
    pytest.param(("usage",), LONG, id="usage"),
    pytest.param(("webhooks", "list"), DELIVERY["last_error"], id="webhooks list"),
]


@pytest.mark.usefixtures("stack_file")
def test_no_proxy_is_asked_for_the_stack_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # so that it is afterwards as it was
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    code, said, errors = run("list")
    assert (code, errors) == (0, "")
    assert LONG in said


@pytest.mark.parametrize(("words", "whole"), SHOWING)
@pytest.mark.usefixtures("at_the_door", "stack_file")
def test_what_goes_into_a_pipe_is_not_wrapped(words: tuple[str, ...], whole: str) -> None:
    code, said, errors = run(*words)
    assert (code, errors) == (0, "")
    assert any(whole.strip() in line for line in said.splitlines()), said


@pytest.mark.parametrize(("words", "whole"), SHOWING)
@pytest.mark.usefixtures("at_the_door", "stack_file")
def test_what_a_terminal_shows_is_not_cut_and_fits_eighty_columns(words: tuple[str, ...], whole: str) -> None:
    code, said, _ = run(*words, terminal=True)
    assert code == 0
    assert "…" not in said
    # A fact of one word stays whole: an address is there to be copied.
    assert [line for line in said.splitlines() if len(line) > 80 and len(line.split()) != 2] == []


@pytest.mark.parametrize(("words", "whole"), [*SHOWING, pytest.param(("cancel", LONG), LONG, id="cancel")])
@pytest.mark.usefixtures("at_the_door", "stack_file")
def test_what_a_script_gets_is_json_lines(words: tuple[str, ...], whole: str) -> None:
    code, said, errors = run(*words, "--json")
    assert (code, errors) == (0, "")
    assert all(isinstance(json.loads(line), dict) for line in said.splitlines())
    assert whole.strip() in said


@pytest.mark.usefixtures("at_the_door")
def test_a_deliverys_id_stays_whole_in_a_terminal_too() -> None:
    code, said, _ = run("webhooks", "list", terminal=True)
    assert code == 0
    assert DELIVERY["id"] in said
    assert DELIVERY["last_error"] in " ".join(said.split())


@pytest.mark.usefixtures("stack_file")
def test_who_is_an_operator_is_told() -> None:
    code, said, _ = run("callers", "list")
    assert code == 0
    assert said.splitlines()[0].split()[-1] == "Role"
    assert said.splitlines()[1].split()[-1] == "operator"


@pytest.mark.parametrize("command", ["load", "cost", "simulate", "plan"])
@pytest.mark.parametrize(
    ("picture", "reason"), [("none/x.svg", "there is no folder none: make it first"), (".", ". is a folder")]
)
def test_a_picture_that_cannot_be_written_is_told_before_anything_is_done(
    command: str, picture: str, reason: str
) -> None:
    code, said, errors = run(command, "--picture", picture)
    assert (code, said) == (2, "")
    assert reason in errors


@pytest.mark.usefixtures("at_the_door")
def test_a_folder_that_cannot_be_is_told_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, errors = run("download", LONG, "--folder", "file")
    assert code == 2
    assert "--folder: pictures cannot be saved in file: File exists" in errors


@pytest.mark.parametrize("collects", [True, False])
def test_whoever_loads_a_command_looks_for_garbage_afterwards_as_before(collects: bool) -> None:
    (gc.enable if collects else gc.disable)()
    try:
        load("list", COMMANDS["list"])
        assert gc.isenabled() is collects
    finally:
        gc.enable()
