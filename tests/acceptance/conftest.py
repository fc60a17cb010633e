"""Needs: the whole stack, as a person starts it: `darkroom up` in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest

from darkroom.local.stack_file import StackFacts, read_stack_file
from darkroom.testing.loopback_aws import CREDENTIALS

DEADLINE_SECONDS = 90.0
# Stands in links and contexts that tests send, and must not stand in any log when the stack has ended.
PLANTED = "pl4nted-s3cret"
CONFIG = """\
APIGW:
  throttle:
    rateLimit: {rate}
    burstLimit: {burst}
modelsRuntime:
- name: sdruntime
  type: sdwebui
  modelFilename: v1-5-pruned-emaonly.safetensors
"""


@dataclass
class Stack:
    """A stack that runs as a process of its own."""

    folder: Path
    process: subprocess.Popen[str]
    facts: StackFacts
    # One for all: making a client takes longer than a request does.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30, verify=False))

    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, endpoint_url=self.facts.aws_endpoint_url, region_name=self.facts.region, **_boto_credentials()
            )
        return self.clients[service]

    def post(self, body: Any, version: str = "v1alpha2", key: str | None = ..., **headers: str) -> httpx.Response:  # type: ignore[assignment]
        key = self.facts.api_key if key is ... else key
        merged = {"Content-Type": "application/json", **({"x-api-key": key} if key else {}), **headers}
        content = body if isinstance(body, bytes) else None
        return self.http.post(
            f"{self.facts.endpoint}/{version}",
            content=content,
            json=None if content is not None else body,
            headers=merged,
        )

    def log(self, name: str) -> str:
        return (self.folder / ".darkroom" / "logs" / f"{name}.log").read_text()

    def logged(self, secret: str) -> list[str]:
        """The logs, of every process, in which a secret stands."""
        logs = (self.folder / ".darkroom" / "logs").glob("*.log")
        return sorted(log.name for log in logs if secret.encode() in log.read_bytes())

    def stop(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.http.close()
        for client in self.clients.values():
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)


def _boto_credentials() -> dict[str, str]:
    return {
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that come from `pid`, itself not among them."""
    return psutil.Process(pid).children(recursive=True)


def have_ended(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def end_by_ctrl_c(stack: Stack) -> None:
    """Press Ctrl-C, which ends all of it within seconds and leaves nothing behind, whatever the stack has done."""
    children = descendants(stack.process.pid)
    assert len(children) >= 4  # emulator, gateway, sender, and an agent
    before = time.monotonic()
    assert stack.stop() == 0
    assert time.monotonic() - before < 15
    wait_for(lambda: have_ended(children), "the end of every process")
    assert not (stack.folder / ".darkroom" / "stack.json").exists()


def start_up(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """`darkroom up` in `folder`, with `environment` over this one; its output goes to up.log there."""
    output = (folder / "up.log").open("w")
    with output:
        return subprocess.Popen(
            [sys.executable, "-m", "darkroom", "up", "--port", "0", "--aws-port", "0", "--engine", "fake", *options],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def wait_for(condition: Callable[[], Any], what: str, deadline_seconds: float = DEADLINE_SECONDS) -> Any:
    """What `condition` returns, once that is true."""
    deadline = time.monotonic() + deadline_seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {deadline_seconds:g} s"
        time.sleep(0.05)
    return found


def start_stack(folder: Path, *, rate: float = 30, burst: int = 50) -> Stack:
    (folder / "config.yaml").write_text(CONFIG.format(rate=rate, burst=burst))
    process = start_up(folder)

    def facts() -> StackFacts | None:
        assert process.poll() is None, (folder / "up.log").read_text()
        return read_stack_file(folder / ".darkroom")

    return Stack(folder, process, wait_for(facts, "the stack's start"))


# Both last as long as the process, and tests/side_by_side.py has the files that use them in one. So a test must not
# count on being the only one, or the first: it uses ids of its own, and leaves the stack as it was.
@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with the guide's throttle."""
    started = start_stack(tmp_path_factory.mktemp("stack"))
    yield started
    end_by_ctrl_c(started)
    assert started.logged(started.facts.api_key) == []
    assert started.logged(PLANTED) == []


@pytest.fixture(scope="session")
def open_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that lets everything through."""
    started = start_stack(tmp_path_factory.mktemp("open-stack"), rate=10_000, burst=5_000)
    yield started
    end_by_ctrl_c(started)
    assert started.logged(started.facts.api_key) == []
