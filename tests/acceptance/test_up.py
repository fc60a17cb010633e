"""`darkroom up` as a person meets it: what it says, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from tests.acceptance.conftest import CONFIG, Stack, start_stack, start_up, wait_for


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that come from `pid`, itself not among them."""
    return psutil.Process(pid).children(recursive=True)


def have_ended(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


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


def test_the_address_that_it_prints_opens_the_console(stack: Stack) -> None:
    said = wait_for(lambda: text if "Ctrl-C stops" in (text := (stack.folder / "up.log").read_text()) else "", "it")
    (address,) = (line.strip() for line in said.splitlines() if "/#key=" in line)
    page, _, fragment = address.partition("#")
    assert fragment == f"key={stack.facts.api_key}"
    reply = httpx.get(page)
    assert reply.status_code == 200
    assert "<title>Darkroom</title>" in reply.text
    assert f"connect-src 'self' {stack.facts.aws_endpoint_url};" in reply.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', reply.text):
        assert httpx.get(httpx.URL(page).join(path)).status_code == 200, path


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


def test_ctrl_c_stops_everything_within_seconds(tmp_path: Path) -> None:
    started = start_stack(tmp_path)
    children = descendants(started.process.pid)
    assert len(children) >= 4
    before = time.monotonic()
    assert started.stop() == 0
    assert time.monotonic() - before < 15
    wait_for(lambda: have_ended(children), "the end of every process")
    assert not (tmp_path / ".darkroom" / "stack.json").exists()


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
