"""`darkroom up` as a person meets it: what it says, what it refuses, and that it leaves nothing behind.

That Ctrl-C ends all of a stack that runs is seen at the end of each stack of these tests: `end_by_ctrl_c`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.conftest import CONFIG, Stack, descendants, have_ended, start_stack, start_up, wait_for


def test_it_says_where_everything_is(stack: Stack) -> None:
    said = wait_for(lambda: text if "Ctrl-C stops" in (text := (stack.folder / "up.log").read_text()) else "", "it")
    facts = stack.facts
    for fact in (
        facts.endpoint,
        facts.api_key,
        facts.input_topic_arn,
        facts.output_topic_arn,
        facts.output_bucket,
        f"AWS_ENDPOINT_URL={facts.aws_endpoint_url}",
    ):
        assert fact in said
    assert (stack.folder / ".darkroom" / "stack.json").stat().st_mode & 0o077 == 0


def test_everything_listens_on_loopback_alone(stack: Stack) -> None:
    listening = {
        (process.pid, connection.laddr.ip, connection.laddr.port)
        for process in descendants(stack.facts.pid)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) >= 4  # emulator, gateway, runtime, and the agent's health
    assert {ip for _, ip, _ in listening} == {"127.0.0.1"}, listening
    # Nor has the emulator tried to: where the port was somebody else's, it would say so.
    assert stack.log("emulator") == ""


def test_the_address_that_it_prints_opens_the_console(stack: Stack) -> None:
    said = wait_for(lambda: text if "Ctrl-C stops" in (text := (stack.folder / "up.log").read_text()) else "", "it")
    (address,) = (line.strip() for line in said.splitlines() if "/#key=" in line)
    page, _, fragment = address.partition("#")
    assert fragment == f"key={stack.facts.api_key}"
    reply = stack.http.get(page)
    assert reply.status_code == 200
    assert "<title>Darkroom</title>" in reply.text
    assert f"connect-src 'self' {stack.facts.aws_endpoint_url};" in reply.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', reply.text):
        assert stack.http.get(httpx.URL(page).join(path)).status_code == 200, path


def test_who_runs_it_without_naming_callers_is_its_operator(stack: Stack) -> None:
    asked = {"url": f"{stack.facts.endpoint}/v1alpha2/runtimes", "headers": {"x-api-key": stack.facts.api_key}}

    def with_its_agent() -> Any:
        (found,) = stack.http.get(**asked).json()["runtimes"]
        return found if [agent["state"] for agent in found["agents"]] == ["ready"] else None

    runtime = wait_for(with_its_agent, "an agent that says that it is ready")
    assert runtime["dead_letters"] >= 0  # earlier tests' too
    assert [(caller.name, caller.role) for caller in stack.facts.callers] == [("default", "operator")]


def test_a_second_one_in_the_same_folder_is_refused(stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "darkroom", "up"], cwd=stack.folder, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert stack.facts.endpoint in second.stderr
    assert stack.process.poll() is None


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = start_up(tmp_path, "--port", str(port))
        assert process.wait(timeout=30) == 1
    said = (tmp_path / "up.log").read_text()
    assert f"port {port}" in said
    assert "--port" in said


def test_a_bad_configuration_is_told_in_full(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(rate=-1, burst=50).replace("sdwebui", "SDWEBUI"))
    process = start_up(tmp_path)
    assert process.wait(timeout=30) == 2
    said = (tmp_path / "up.log").read_text()
    assert "rateLimit" in said
    assert "type" in said


def test_a_supervisor_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    started = start_stack(tmp_path)
    children = descendants(started.process.pid)
    started.process.kill()
    started.stop()
    wait_for(lambda: have_ended(children), "the end of every process")


def test_a_dead_emulator_ends_the_stack_with_a_clear_message(tmp_path: Path) -> None:
    started = start_stack(tmp_path)
    (emulator,) = (child for child in descendants(started.process.pid) if "ministack" in child.cmdline())
    emulator.kill()
    assert started.process.wait(timeout=60) == 1
    started.stop()
    said = (tmp_path / "up.log").read_text()
    assert "the AWS emulator" in said
    assert "emulator.log" in said
    assert "did not stop" not in said  # nobody is waited for who could only wait for the emulator


@pytest.mark.parametrize(
    ("command", "milliseconds"), [*(("up", ms) for ms in (50, 100, 200, 350, 500, 1500)), ("demo", 50), ("demo", 500)]
)
def test_ctrl_c_while_it_starts_is_exit_code_130_and_no_traceback(
    tmp_path: Path, command: str, milliseconds: int
) -> None:
    for _ in range(10):  # a slow machine may be at the first line of ours then, where nobody can catch it yet
        said, code, started = _interrupted(tmp_path, command, milliseconds)
        if not ("Traceback" in said and "cli/main.py" not in said):
            break
    assert "Traceback" not in said
    assert code == 130, said
    assert have_ended(started)


def _interrupted(folder: Path, command: str, milliseconds: int) -> tuple[str, int, list[psutil.Process]]:
    """What the command says when it is interrupted so soon, its exit code, and the processes that it had started."""
    ports = ["--port", "0", "--aws-port", "0"] if command == "up" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "darkroom", command, *ports],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As in a terminal: what a shell has put into the background was told to leave interrupts alone.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # Not before Python itself has begun to listen to signals: what it says then is not ours.
    wait_for(lambda: _catches_interrupts(process.pid), "a handler for SIGINT")
    time.sleep(milliseconds / 1000)
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    return said, process.returncode, started


def test_what_dies_while_it_starts_is_named_with_its_last_lines(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "ministack"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('no room at the inn')")
    paths = os.pathsep.join((str(broken.parent), os.environ.get("PYTHONPATH", "")))
    before = time.monotonic()
    process = start_up(tmp_path, PYTHONPATH=paths)
    assert process.wait(timeout=60) == 1
    assert time.monotonic() - before < 30
    said = (tmp_path / "up.log").read_text()
    assert "StackFailure: emulator ended with exit code 1 while the stack started" in said
    assert "RuntimeError: no room at the inn" in said
    assert "logs/emulator.log" in said


@pytest.mark.parametrize(
    ("folders", "options", "text"),
    [
        ([], [], "--models"),
        (["mine"], ["--models", "mine"], "mine has no folder Stable-diffusion/"),
        (["mine/Stable-diffusion"], ["--models", "mine"], "needs the extra 'diffusers'"),
    ],
)
def test_the_engine_diffusers_says_at_once_what_it_lacks(
    tmp_path: Path, folders: list[str], options: list[str], text: str
) -> None:
    if "extra" in text and importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed")
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    process = start_up(tmp_path, "--engine", "diffusers", *options)
    assert process.wait(timeout=30) == 2
    said = (tmp_path / "up.log").read_text()
    assert text in said
    assert "starting" not in said


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".darkroom").write_text("a file where the folder should be")
    process = start_up(tmp_path)
    assert process.wait(timeout=30) == 1
    assert len((tmp_path / "up.log").read_text().splitlines()) == 1
    assert ".darkroom" in (tmp_path / "up.log").read_text()


def _catches_interrupts(pid: int) -> bool:
    """Whether the process has a handler for SIGINT (Linux tells; elsewhere it is believed)."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return True
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1)
