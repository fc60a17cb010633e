"""`darkroom runtime` as people start it: a process on loopback, busy, asked for progress, interrupted, stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE = 30.0


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError("not within the deadline")


class Running:
    """A runtime's process and a client of it."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "darkroom", "runtime", "--port", "0", "--threads", "1", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        self.url = until(
            lambda: next(
                (found[0] for line in self.lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None
            )
        )
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def post(self, route: str, **body: Any) -> httpx.Response:
        return self.client.post(f"/sdapi/v1/{route}", json=body)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.client.get("/sdapi/v1/progress").json()
        return state

    def stop(self) -> int:
        if self.process.poll() is None:
            self.post("interrupt")  # or the server would finish its pictures first
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture(scope="module")
def runtime() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


LONG = {"prompt": "a dog", "steps": 150, "width": 64, "height": 64, "batch_size": 16, "n_iter": 16, "seed": 1}


def test_a_running_job_shows_its_progress_and_can_be_interrupted(runtime: Running) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(runtime.post, "txt2img", **LONG)
        state = until(lambda: (now := runtime.state())["state"]["sampling_step"] > 2 and now)
        assert 0 < state["progress"] < 1
        assert state["eta_relative"] > 0
        assert state["state"]["job_count"] == 16
        assert state["state"]["sampling_steps"] == 150
        assert state["current_image"]
        waiting = pool.submit(runtime.post, "txt2img", **{**LONG, "batch_size": 1, "n_iter": 1, "steps": 2})
        until(lambda: runtime.state()["textinfo"] == "1 waiting")
        assert runtime.client.get("/healthz").status_code == 200  # busy, and still answering
        assert runtime.post("txt2img", sampler_name="Nope").status_code == 404  # without a wait
        assert runtime.post("interrupt").json() == {}
        interrupted = long.result(PATIENCE).json()
        assert len(interrupted["images"]) < 256
        assert len(waiting.result(PATIENCE).json()["images"]) == 1
    idle = runtime.state()
    assert idle["state"]["job_count"] == 0


def test_a_skipped_batch_is_followed_by_the_next(runtime: Running) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(runtime.post, "txt2img", **{**LONG, "n_iter": 2})
        until(lambda: runtime.state()["state"]["sampling_step"] > 2)
        assert runtime.post("skip").json() is None
        until(lambda: runtime.state()["state"]["job_no"] == 1)
        runtime.post("interrupt")
        assert len(long.result(PATIENCE).json()["images"]) == 32


def test_a_waiting_request_whose_client_has_left_is_not_done(runtime: Running) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(runtime.post, "txt2img", **LONG)
        until(lambda: runtime.state()["state"]["sampling_step"] > 2)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{runtime.url}/sdapi/v1/txt2img", json=LONG, timeout=0.3)
        runtime.post("interrupt")
        long.result(PATIENCE)
    until(lambda: 'outcome="abandoned"' in runtime.client.get("/metrics").text)
    assert runtime.state()["state"]["job_count"] == 0


def test_sigterm_ends_it(tmp_path: Path) -> None:
    running = Running("--models", str(tmp_path))
    assert running.post("txt2img", prompt="a dog", steps=1, width=64, height=64).status_code == 200
    assert running.stop() in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--models", "no/such/folder"], "there is no folder"),
        (["--engine", "diffusers"], "needs --models"),
        (["--engine", "nope"], "Invalid value for '--engine'"),
    ],
)
def test_wrong_options_are_explained(options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "darkroom", "runtime", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
