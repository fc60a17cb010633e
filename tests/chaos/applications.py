"""Applications in a chaos run: they submit at the real front door, try again when told to, and change their minds.

The front door's own calls to AWS suffer like the agents'. A submission that was answered with an error may have gone
through nevertheless, under an id that its caller never heard of: it may end, and must not harm the next one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from tests.chaos.tasks import PlannedTask, Submission

_TRIES = 60
_PAUSE_SECONDS = 0.3


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

    async def run(self, tasks: Sequence[PlannedTask], contents: dict[str, dict[str, object]]) -> None:
        """Do what one application does with its tasks, which share an id. `contents` are theirs by submission."""
        if not tasks[0].cancelled:
            await asyncio.gather(*(self._submit(task, contents[task.submission_id]) for task in tasks))
            return
        first = len(self.submissions)
        await self._submit(tasks[0], contents[tasks[0].submission_id])
        await asyncio.sleep(self._chance.uniform(0.0, 1.0))
        if await self._cancel(tasks[0].task_id):
            # The wish holds for what was submitted until now under this id, and for nothing after it.
            own = tasks[0].task_id
            self.submissions[first:] = [
                replace(one, may_be_cancelled=True) if one.task.task_id == own else one
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
            "context": {"number": task.task_id},
        }
        body = msgspec.json.encode({"task": {"metadata": metadata, "content": content}})
        for attempt in range(_TRIES):
            submission_id = f"{task.submission_id}-{attempt}"
            reply = await self._ask("POST", "/v1alpha2", body, submission_id)
            self.submissions.append(Submission(submission_id, task, accepted=reply.status == 200))
            if reply.status == 200:
                return
            self._counts["submissions answered with an error"] += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        raise GaveUp(f"{task.task_id}: {reply.status} {reply.encode_body()!r}")

    async def _cancel(self, task_id: str) -> bool:
        """Ask until an answer comes; whether the task may still be stopped."""
        for _ in range(_TRIES):
            reply = await self._ask("PUT", f"/v1alpha2/tasks/{task_id}/cancel", b"", "")
            if reply.status in (200, 202):
                self._counts["cancellations"] += reply.status == 202
                return reply.status == 202
            await asyncio.sleep(_PAUSE_SECONDS)
        raise GaveUp(f"cancelling {task_id}: {reply.status}")

    async def _ask(self, method: str, path: str, body: bytes, submission_id: str) -> HttpReply:
        door = FrontDoor(self._service, self._ports, clock=time.time, new_submission_id=lambda: submission_id)
        request = HttpRequest(method=method, path=path, content_type="application/json", body=body, caller="chaos")
        return await door.answer(request)
