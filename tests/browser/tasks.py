"""Tasks and dead letters for the console to show, made as others than the console make them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import httpx

from tests.browser.console_stack import ConsoleStack


class Door:
    """The stack's front door, asked as one caller."""

    def __init__(self, console: ConsoleStack, caller: str = "default") -> None:
        self._stack = console.stack
        self._headers = {"x-api-key": console.key(caller)}

    def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        url = f"{self._stack.facts.endpoint}/v1alpha2{path}"
        return self._stack.http.request(method, url, headers=self._headers, json=body)

    def submit(
        self, prompt: str = "a boat", *, runtime: str = "sdruntime", kind: str = "", webhook: str = "", **content: Any
    ) -> str:
        """Submit a task as the console does, and return its id."""
        task_id = f"t-{uuid.uuid4().hex[:10]}"
        asked = {"prompt": prompt, "steps": 8, "width": 64, "height": 64, "seed": 7, **content}
        if kind == "extra-single-image":
            asked = content
        metadata: dict[str, Any] = {
            "id": task_id,
            "runtime": runtime,
            "tasktype": kind or "text-to-image",
            "prefix": "output",
            "context": {"console": {"prompt": prompt, **asked}},
        }
        if webhook:
            metadata["webhook"] = {"url": webhook}
        reply = self._ask("POST", "", {"task": {"metadata": metadata, "content": asked}})
        assert reply.status_code == 200, reply.text
        return task_id

    def fails(self, prompt: str) -> str:
        """Submit a task that fails for good, since the picture is not there that it begins with."""
        missing = f"s3://{self._stack.facts.output_bucket}/no-such-picture.png"
        return self.submit(prompt, kind="extra-single-image", image=missing, upscaling_resize=2, upscaler_1="Lanczos")

    def look(self, task_id: str) -> dict[str, Any]:
        """Where a task stands."""
        found: dict[str, Any] = self._ask("GET", f"/tasks/{task_id}").json()
        return found

    def cancel(self, *task_ids: str) -> None:
        """Ask for these tasks to be stopped."""
        for task_id in task_ids:
            self._ask("PUT", f"/tasks/{task_id}/cancel")

    def ended(self, *task_ids: str) -> list[dict[str, Any]]:
        """These tasks, as soon as each has ended."""
        deadline, pause = time.monotonic() + 60, 0.05
        while True:
            found = [self.look(task_id) for task_id in task_ids]
            if all("result" in task for task in found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(pause)
            pause = min(0.4, 1.3 * pause)

    def letter(self, task_id: str, *, died_as: str = "GenerationFailed", reason: str = "out of memory") -> None:
        """Have a dead letter of `lab` there, as an agent leaves it."""
        (runtime,) = (one for one in self._stack.facts.runtimes if one.name == "sdruntime")
        metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"}
        attributes = {
            "dead_letter_type": died_as,
            "dead_letter_reason": reason,
            "dead_letter_received": "5",
            "submission_id": uuid.uuid4().hex,
            "runtime": "sdruntime",
            "caller": "lab",
        }
        self._stack.client("sqs").send_message(
            QueueUrl=runtime.dead_letter_queue_url,
            MessageBody=json.dumps({"metadata": metadata, "content": {"prompt": "a poster", "steps": 8}}),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
