"""A server that is loaded before it is told what it works with, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def run(server: str, told: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "darkroom.cli.standby", server]
    return subprocess.run(command, input=told, capture_output=True, text=True, timeout=60, check=False)


def test_it_runs_with_the_environment_that_it_is_told_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQS_QUEUE_URL", "http://127.0.0.1/one-that-was-not-told")
    done = run("agent", json.dumps({"PATH": os.environ["PATH"], "RUNTIME_NAME": "sdruntime"}))
    assert done.returncode == 2
    assert "SQS_QUEUE_URL" in done.stderr
    assert "RUNTIME_NAME" not in done.stderr


def test_it_ends_when_whoever_started_it_has_ended() -> None:
    done = run("sender", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
