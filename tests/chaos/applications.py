"""Applications in a chaos run: they submit at the real front door, try again when told to, and change their minds.

The front door's own calls to AWS suffer like the agents'. A submission that was answered with an error may have gone
through nevertheless, under an id that its caller never heard of: it may end, and must not harm the next one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from tests.chaos.tasks import CALLERS, PlannedTask, Submission

_TRIES = 60
_PAUSE_SECONDS = 0.3
STRANGER = "stranger"


class GaveUp(Exception):
    """The front door never accepted a task: the run is too hard, or the front door broken."""


class Applications:
    """Sends tasks for `runtime` through a front door with these ports; `submissions` grows as they are answered."""

    def __init__(
        self, runtime: str, service: Service, ports: Ports, chance: random.Random, counts: Counter[str]
    ) -> None:
        self._runtime = runtime
        self._service = service
        self._ports = ports
        self._chance = chance
        self._counts = counts
        self.submissions: list[Submission] = []
        self.seen_of_others: list[str] = []

    async def run(self, tasks: Sequence[PlannedTask], contents: dict[str, dict[str, object]]) -> None:
        """Do what one application does with its tasks, which share an id. `contents` are theirs by submission."""
        if not tasks[0].cancelled:
            await asyncio.gather(*(self._submit(task, contents[task.submission_id]) for task in tasks))
            return
        first = len(self.submissions)
        await self._submit(tasks[0], contents[tasks[0].submission_id])
        await asyncio.sleep(self._chance.uniform(0.0, 1.0))
        if await self._cancel(tasks[0]):
            # The wish holds for what was submitted until now under this id, and for nothing after it.
            own = tasks[0].caller, tasks[0].task_id
            self.submissions[first:] = [
                replace(one, may_be_cancelled=True) if (one.task.caller, one.task.task_id) == own else one
                for one in self.submissions[first:]
            ]
        for task in tasks[1:]:
            await self._submit(task, contents[task.submission_id])

    async def _submit(self, task: PlannedTask, content: dict[str, object]) -> None:
        metadata = {
            "id": task.task_id,
            "runtime": self._runtime,
            "tasktype": "text-to-image" if task.link is None else "image-to-image",
            "prefix": "output",
            "context": task.context,
        }
        body = msgspec.json.encode({"task": {"metadata": metadata, "content": content}})
        for attempt in range(_TRIES):
            submission_id = f"{task.submission_id}-{attempt}"
            reply = await self._ask(task.caller, "POST", "/v1alpha2", body, submission_id)
            self.submissions.append(Submission(submission_id, task, accepted=reply.status == 200))
            if reply.status == 200:
                return
            self._counts["submissions answered with an error"] += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        raise GaveUp(f"{task.task_id}: {reply.status} {reply.encode_body()!r}")

    async def look_around(self, tasks: Sequence[PlannedTask]) -> None:
        """See whose tasks each caller is shown under the ids of all; `seen_of_others` grows by what is not its own."""
        ids = sorted({task.task_id for task in tasks})
        for caller in (*CALLERS, STRANGER):
            for task_id in ids:
                await self._peek(caller, "GET", f"/v1alpha2/tasks/{task_id}")
            next_page = ""
            while True:
                listed = await self._peek(caller, "GET", "/v1alpha2/tasks", {"limit": "100", **_next(next_page)})
                next_page = listed.get("next") or ""
                if not next_page:
                    break

    async def meddle(self, tasks: Sequence[PlannedTask]) -> None:
        """Have a stranger ask for tasks of others to be stopped, again and again; never returns."""
        while True:
            task = self._chance.choice(tasks)
            await self._peek(STRANGER, "PUT", f"/v1alpha2/tasks/{task.task_id}/cancel")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _peek(
        self, caller: str, method: str, path: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        for _ in range(_TRIES):
            reply = await self._ask(caller, method, path, b"", "", query)
            if reply.status < 500:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        document = msgspec.json.decode(reply.encode_body())
        for view in document.get("tasks", [document]):
            shown = view.get("context") if isinstance(view, dict) else None
            if isinstance(shown, dict) and shown.get("caller") != caller:
                self.seen_of_others.append(f"{caller} was shown {shown} by {method} {path}")
        if caller == STRANGER and "tasks" not in document and reply.status != 404:
            self.seen_of_others.append(f"{method} {path} was answered {reply.status} to {caller}")
        self._counts["looks at others' tasks"] += 1
        return dict(document)

    async def _cancel(self, task: PlannedTask) -> bool:
        """Ask until an answer comes; whether the task may still be stopped."""
        for _ in range(_TRIES):
            reply = await self._ask(task.caller, "PUT", f"/v1alpha2/tasks/{task.task_id}/cancel", b"", "")
            if reply.status in (200, 202):
                self._counts["cancellations"] += reply.status == 202
                return reply.status == 202
            await asyncio.sleep(_PAUSE_SECONDS)
        raise GaveUp(f"cancelling {task.task_id}: {reply.status}")

    async def _ask(
        self,
        caller: str,
        method: str,
        path: str,
        body: bytes,
        submission_id: str,
        query: Mapping[str, str] | None = None,
    ) -> HttpReply:
        door = FrontDoor(self._service, self._ports, clock=time.time, new_submission_id=lambda: submission_id)
        request = HttpRequest(
            method=method, path=path, content_type="application/json", body=body, caller=caller, query=query or {}
        )
        return await door.answer(request)


def _next(token: str) -> dict[str, str]:
    return {"next": token} if token else {}
