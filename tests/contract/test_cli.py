"""The command line as a script sees it: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests import command_line

from darkroom.samples import read_picture, read_sample

pytestmark = pytest.mark.slow


VIEW = {
    "id": "test-t2i",
    "status": "completed",
    "result": True,
    "runtime": "sdruntime",
    "output_location": "s3://b/output/test-t2i",
    "created_at": "2027-01-15T08:00:00Z",
    "updated_at": "2027-01-15T08:00:00Z",
}


RUNTIME = {
    "name": "sdruntime",
    "type": "sdwebui",
    "tasktypes": ["text-to-image", "image-to-image", "extra-single-image", "extra-batch-images"],
    "models": ["v1-5-pruned-emaonly.safetensors"],
    "agents_ready": 1,
    "waiting": 7,
    "in_work": 1,
    "estimated_wait_seconds": 40.5,
}


class FrontDoor(BaseHTTPRequestHandler):
    """A front door whose every task has ended as `server.view` says."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        if self.headers["x-api-key"] != "secret":
            self._send(401, {"message": "The header x-api-key is missing or holds no valid API key.", "errors": []})
        elif "task" not in body:
            fault = {"path": "task", "reason": "is required"}
            self._send(400, {"message": "The request cannot be accepted as it is.", "errors": [fault]})
        else:
            task_id = body["task"]["metadata"]["id"]
            accepted: dict[str, Any] = {"id_task": task_id, "output_location": f"s3://b/output/{task_id}"}
            if "cfg_scal" in body["task"]["content"]:
                accepted["warnings"] = [{"path": "task.content.cfg_scal", "reason": "is no field that is known here"}]
            self._send(200, accepted)

    def do_PUT(self) -> None:
        task_id = self.path.split("/")[-2]
        self._send(202, self.server.view | {"id": task_id, "status": "running", "cancel_requested": True})  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        if self.path.endswith("/runtimes"):
            self._send(200, {"runtimes": self.server.runtimes})  # type: ignore[attr-defined]
            return
        if self.path.partition("?")[0].endswith("/tasks"):
            self.server.queries.append(self.path.partition("?")[2])  # type: ignore[attr-defined]
            views = [self.server.view | {"id": f"task-{number}"} for number in range(3)]  # type: ignore[attr-defined]
            self._send(200, {"tasks": views})
            return
        if self.path.startswith("/bucket/"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(read_picture())
            return
        task_id = self.path.partition("?")[0].rpartition("/")[2]
        here = f"http://127.0.0.1:{self.server.server_port}/bucket/{task_id}"  # type: ignore[attr-defined]
        view = self.server.view | {"id": task_id}  # type: ignore[attr-defined]
        if view["status"] == "completed":
            view["image_url"] = [f"s3://b/output/{task_id}/{task_id}-abcd-1.png"]
            view["links"] = {"image_url": [here], "expires_at": "2027-01-15T09:00:00Z"}
        self._send(200, view)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), FrontDoor)
    running.view, running.bodies, running.queries = dict(VIEW), [], []  # type: ignore[attr-defined]
    running.runtimes = [dict(RUNTIME)]  # type: ignore[attr-defined]
    thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def darkroom(*arguments: str, folder: Path, server: Any = None, key: str = "secret", stdin: str = "") -> Any:
    environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    if server is not None:
        environment["DARKROOM_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}/prod"
        environment["DARKROOM_API_KEY"] = key
    return command_line.darkroom(*arguments, folder=folder, environment=environment, stdin=stdin)


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    run = darkroom("--help", folder=tmp_path)
    assert run.returncode == 0
    for word in ("submit", "verify", "gateway", "Exit codes", "130"):
        assert word in run.stdout


def test_a_prompt_is_sent_and_its_place_told(server: Any, tmp_path: Path) -> None:
    run = darkroom("submit", "a cat", "--runtime", "sdruntime", "--seed", "7", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    (body,) = server.bodies
    assert body["task"]["content"]["prompt"] == "a cat"
    assert body["task"]["content"]["seed"] == 7
    assert f"s3://b/output/{body['task']['metadata']['id']}" in run.stderr


def test_a_low_priority_is_sent_with_a_prompt_and_with_a_file_and_a_normal_one_is_left_out(
    server: Any, tmp_path: Path
) -> None:
    request = json.dumps({"task": {"metadata": {"id": "mine", "priority": "low"}, "content": {}}})
    for command, stdin in (
        (["a cat", "--runtime", "r", "--priority", "low"], ""),
        (["-", "--priority", "low"], request.replace('"priority": "low"', '"prefix": "p"')),
        (["-"], request),
        (["a cat", "--runtime", "r"], ""),
    ):
        run = darkroom("submit", *command, folder=tmp_path, server=server, stdin=stdin)
        assert run.returncode == 0, run.stderr
    said = [body["task"]["metadata"].get("priority") for body in server.bodies]
    assert said == ["low", "low", "low", None]


def test_with_wait_the_pictures_are_saved(server: Any, tmp_path: Path) -> None:
    run = darkroom("submit", "a cat", "--runtime", "sdruntime", "--wait", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    path = tmp_path / run.stdout.strip()
    assert path.parent == tmp_path / "pictures"
    assert path.read_bytes() == read_picture()


def test_json_is_for_scripts(server: Any, tmp_path: Path) -> None:
    request = json.dumps({"task": {"metadata": {"id": "mine"}, "content": {}}})
    run = darkroom("submit", "-", "--wait", "--json", folder=tmp_path, server=server, stdin=request)
    result = json.loads(run.stdout)
    assert (result["id"], result["status"], len(result["files"])) == ("mine", "completed", 1)
    assert run.stderr == ""


def test_what_the_front_door_warns_of_is_shown(server: Any, tmp_path: Path) -> None:
    request = json.dumps({"task": {"metadata": {"id": "mine"}, "content": {"cfg_scal": 7}}})
    run = darkroom("submit", "-", folder=tmp_path, server=server, stdin=request)
    assert run.returncode == 0, run.stderr
    assert "Warning: task.content.cfg_scal is no field that is known here" in run.stderr
    assert "RequestWarning" not in run.stderr
    run = darkroom("submit", "-", "--json", folder=tmp_path, server=server, stdin=request)
    assert json.loads(run.stdout)["warnings"][0]["path"] == "task.content.cfg_scal"


def test_a_picture_goes_along(server: Any, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(read_picture())
    run = darkroom("submit", "a wizard", "--picture", "cat.png", "--runtime", "r", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    (body,) = server.bodies
    assert body["task"]["metadata"]["tasktype"] == "image-to-image"
    assert len(body["task"]["content"]["init_images"][0]) > len(read_picture())


def test_a_task_that_failed_is_exit_code_1_with_its_reason(server: Any, tmp_path: Path) -> None:
    error = {"type": "GenerationRefused", "message": "no such sampler", "retryable": False}
    server.view |= {"status": "failed", "result": False, "error": error}
    run = darkroom("submit", "a cat", "--runtime", "r", "--wait", folder=tmp_path, server=server)
    assert run.returncode == 1
    assert "no such sampler" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["submit", "a cat"], "no front door is known"),
        (["submit", "nothing.json", "--endpoint", "http://x", "--api-key", "y"], "nothing.json cannot be read"),
        (["submit", "a cat", "--endpoint", "http://x"], "needs an API key"),
        (["submit"], "Missing argument"),
        (["nonsense"], "No such command"),
        (["gateway"], "DARKROOM_API_KEYS is not set"),
        (["verify", "--endpoint", "http://x", "--api-key", "y"], "which runtime to test"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_to_change(tmp_path: Path, arguments: list[str], text: str) -> None:
    run = darkroom(*arguments, folder=tmp_path)
    assert run.returncode == 2
    assert text in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("key", ["pl4nted-k3y\n", "“pl4nted-k3y”", "pl4nted k3y"])
def test_a_key_that_cannot_be_sent_is_not_shown(server: Any, tmp_path: Path, key: str) -> None:
    run = darkroom("submit", "a cat", "--runtime", "r", "--api-key", key, folder=tmp_path, server=server)
    assert run.returncode == 2
    assert "api_key: " in run.stderr
    assert "pl4nted" not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert server.bodies == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\xff\xfe{\x00}\x00", "it is encoded as UTF-16"),
        ('{"a": "é"}'.encode("latin-1"), "it is not encoded as UTF-8"),
        (b"[]", "it must be a JSON object"),
        (b"", "it is empty"),
    ],
)
def test_a_file_that_is_no_request_is_named(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "request.json").write_bytes(text)
    run = darkroom("submit", "request.json", "--endpoint", "http://x", "--api-key", "y", folder=tmp_path)
    assert run.returncode == 2
    assert f"request.json does not hold a request: {reason}" in run.stderr.replace("\n", " ")


def test_a_file_with_a_byte_order_mark_is_a_request(server: Any, tmp_path: Path) -> None:
    text = json.dumps(read_sample("v1alpha2-text-to-image"), ensure_ascii=False)
    (tmp_path / "request.json").write_text(text, encoding="utf-8-sig")
    run = darkroom("submit", "request.json", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    assert server.bodies[0]["task"]["metadata"]["id"] == "test-t2i"


def test_a_request_that_is_refused_is_exit_code_2(server: Any, tmp_path: Path) -> None:
    run = darkroom("submit", "-", folder=tmp_path, server=server, stdin="{}")
    assert run.returncode == 2
    assert "task: is required" in run.stderr


def test_no_access_is_exit_code_3(server: Any, tmp_path: Path) -> None:
    run = darkroom("submit", "a cat", "--runtime", "r", folder=tmp_path, server=server, key="wrong")
    assert run.returncode == 3
    assert "x-api-key" in run.stderr


def test_verify_sends_the_guides_requests_and_shows_a_table(server: Any, tmp_path: Path) -> None:
    run = darkroom("verify", "--runtime", "sdruntime", "--type", "sdwebui", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    kinds = [body["task"]["metadata"]["tasktype"] for body in server.bodies]
    assert sorted(kinds) == ["extra-single-image", "image-to-image", "text-to-image"]
    for kind in kinds:
        assert kind in run.stdout
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    assert "3 that do not say that a machine made them" in run.stderr
    links = [body["task"]["content"].get("image", "") for body in server.bodies]
    assert any(link.startswith("https://huggingface.co/") for link in links)


def test_verify_sends_a_pipeline_to_comfyui(server: Any, tmp_path: Path) -> None:
    run = darkroom("verify", "--runtime", "comfy", "--type", "comfyui", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    assert [body["task"]["metadata"]["tasktype"] for body in server.bodies] == ["pipeline"]


def test_verify_fails_when_a_task_does(server: Any, tmp_path: Path) -> None:
    server.view |= {"status": "failed", "result": False}
    run = darkroom("verify", "--runtime", "r", "--type", "sdwebui", folder=tmp_path, server=server)
    assert run.returncode == 1
    assert "failed" in run.stdout


def test_verify_says_what_was_refused(server: Any, tmp_path: Path) -> None:
    run = darkroom("verify", "--runtime", "r", "--type", "comfyui", folder=tmp_path, server=server, key="wrong")
    assert run.returncode == 3
    assert "refused" in run.stdout
    assert "x-api-key" in run.stderr


def test_verify_keeps_the_last_status_of_a_task_that_takes_too_long(server: Any, tmp_path: Path) -> None:
    server.view |= {"status": "running"}
    run = darkroom("verify", "--runtime", "r", "--type", "comfyui", "--timeout", "1", folder=tmp_path, server=server)
    assert run.returncode == 1
    assert "running" in run.stdout
    assert "is still running" in run.stderr


def test_what_was_done_otherwise_than_asked_for_is_shown_with_the_pictures(server: Any, tmp_path: Path) -> None:
    said = "width: 96 pixels were made, and 100 were asked for"
    server.view["warnings"] = [said]
    waited = darkroom("submit", "a cat", "--runtime", "sdruntime", "--wait", folder=tmp_path, server=server)
    assert waited.returncode == 0
    assert f"Warning: {said}" in waited.stderr
    assert "Warning" not in waited.stdout
    assert waited.stderr.count(said) == 1  # and Python does not show it once more
    (tmp_path / "typo.json").write_text(json.dumps(read_sample("v1alpha2-text-to-image")))
    body = json.loads((tmp_path / "typo.json").read_text())
    body["task"]["content"]["cfg_scal"] = 7
    (tmp_path / "typo.json").write_text(json.dumps(body))
    run = darkroom("submit", "typo.json", "--wait", "--json", folder=tmp_path, server=server)
    assert json.loads(run.stdout)["warnings"] == ["task.content.cfg_scal is no field that is known here", said]
    verified = darkroom("verify", "--runtime", "sdruntime", "--type", "sdwebui", folder=tmp_path, server=server)
    assert verified.returncode == 0
    assert verified.stderr.count(f"Warning: {said}") == 3
    assert "RequestWarning" not in verified.stderr


def test_where_there_is_one_runtime_nobody_needs_to_name_it(server: Any, tmp_path: Path) -> None:
    assert darkroom("submit", "a cat", folder=tmp_path, server=server).returncode == 0
    assert server.bodies[-1]["task"]["metadata"]["runtime"] == "sdruntime"
    server.runtimes.append(dict(RUNTIME, name="other"))
    run = darkroom("submit", "a cat", folder=tmp_path, server=server)
    assert run.returncode == 2
    assert "there are: sdruntime, other" in run.stderr


def test_pictures_are_edited_and_made_larger(server: Any, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(read_picture())
    assert darkroom("edit", "cat.png", "a wizard", folder=tmp_path, server=server).returncode == 0
    edited = server.bodies[-1]["task"]
    assert (edited["metadata"]["tasktype"], edited["content"]["prompt"]) == ("image-to-image", "a wizard")
    run = darkroom("upscale", "cat.png", "--factor", "3", "--wait", folder=tmp_path, server=server)
    assert run.returncode == 0
    enlarged = server.bodies[-1]["task"]
    assert (enlarged["metadata"]["tasktype"], enlarged["content"]["upscaling_resize"]) == ("extra-single-image", 3)
    assert Path(tmp_path, run.stdout.strip()).read_bytes() == read_picture()


def test_a_folder_that_cannot_be_written_to_is_told_of_before_the_task_is_sent(server: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    run = darkroom("submit", "a cat", "--wait", "--folder", "taken", folder=tmp_path, server=server)
    assert run.returncode == 2
    assert "cannot be saved in taken" in run.stderr
    assert server.bodies == []


def test_tasks_are_listed_shown_fetched_followed_and_cancelled(server: Any, tmp_path: Path) -> None:
    listed = darkroom("list", "--status", "completed", "--since", "2h", folder=tmp_path, server=server)
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ["task-0", "task-1", "task-2"]
    assert "status=completed" in server.queries[-1]
    assert "since=" in server.queries[-1]
    shown = darkroom("status", "test-t2i", folder=tmp_path, server=server)
    assert "completed" in shown.stdout
    assert "s3://b/output/test-t2i/test-t2i-abcd-1.png" in shown.stdout
    fetched = darkroom("download", "test-t2i", "--folder", "here", folder=tmp_path, server=server)
    assert fetched.stdout == "here/test-t2i-abcd-1.png\n"
    assert darkroom("watch", "test-t2i", folder=tmp_path, server=server).returncode == 0
    cancelled = darkroom("cancel", "test-t2i", folder=tmp_path, server=server)
    assert "is being stopped" in cancelled.stdout
    runtimes = darkroom("runtimes", folder=tmp_path, server=server)
    assert runtimes.stdout.splitlines()[1].split()[:5] == ["sdruntime", "sdwebui", "7", "1", "1"]


def test_what_goes_into_a_pipe_is_not_wrapped(server: Any, tmp_path: Path) -> None:
    server.view["runtime"] = "a-runtime-with-a-rather-long-name-" + "x" * 120
    listed = darkroom("list", folder=tmp_path, server=server)
    assert len(listed.stdout.splitlines()) == 4
    assert server.view["runtime"] in listed.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "a cat"],
        ["submit", "a cat", "--wait"],
        ["edit", "cat.png", "a wizard"],
        ["upscale", "cat.png"],
        ["status", "test-t2i"],
        ["list"],
        ["watch", "test-t2i"],
        ["download", "test-t2i"],
        ["cancel", "test-t2i"],
        ["runtimes"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_every_command_about_tasks_prints_json_errors_too(server: Any, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "cat.png").write_bytes(read_picture())
    run = darkroom(*arguments, "--json", folder=tmp_path, server=server)
    assert run.returncode == 0, run.stderr
    assert [json.loads(line) for line in run.stdout.splitlines()]
    nowhere = darkroom(*arguments, "--json", "--endpoint", "not a url", "--api-key", "k", folder=tmp_path)
    assert nowhere.returncode == 2
    error = json.loads(nowhere.stdout)["error"]
    assert (error["type"], error["errors"][0]["path"]) == ("InvalidRequest", "endpoint")
    assert nowhere.stderr == ""


def test_the_version_is_told(tmp_path: Path) -> None:
    assert darkroom("--version", folder=tmp_path).stdout.startswith("darkroom 0.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("darkroom stat", "status"), ("darkroom status --end", "--endpoint"), ("darkroom list --sta", "--status")],
)
def test_a_shell_completes_commands_and_their_options(tmp_path: Path, words: str, expected: str) -> None:
    environment = dict(os.environ, _DARKROOM_COMPLETE="complete_bash", COMP_WORDS=words)
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-m", "darkroom"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert expected in done.stdout.split(), done


def test_who_closes_a_pipe_gets_no_traceback(server: Any, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{server.server_port}/prod"
    command = f"{sys.executable} -m darkroom list --json --endpoint {address} --api-key secret | head -c 1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_folder_that_is_read_only_or_a_full_disk_is_one_line(server: Any, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{server.server_port}/prod"
    arguments = [sys.executable, "-m", "darkroom", "list", "--json", "--endpoint", address, "--api-key", "secret"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(arguments, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
