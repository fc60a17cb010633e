"""A caller's limit for a month counts tasks that were accepted, and no others."""

from __future__ import annotations

import json
from typing import Any

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.policy.callers import Callers, CallerSpec
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.testing.front_door_ports import MemoryBucket, MemoryCounts, MemoryRecords, MemoryTopic

CALLERS = Callers([CallerSpec(name="shop", key="secret", monthly_tasks=2)])
RUNTIMES = Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")])


def submission(task_id: str, on_duplicate: str = "new") -> HttpRequest:
    metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "p"}
    metadata["on_duplicate"] = on_duplicate
    body: dict[str, Any] = {"task": {"metadata": metadata, "content": {"prompt": "a dog"}}}
    text = json.dumps(body).encode()
    return HttpRequest(method="POST", path="/v1alpha2", body=text, caller="shop", content_type="application/json")


async def test_a_task_that_was_there_already_is_not_counted_again() -> None:
    counts, numbers = MemoryCounts(), iter(range(100))
    front_door = FrontDoor(
        Service(RUNTIMES, "pictures", CALLERS),
        Ports(topic=MemoryTopic(), bucket=MemoryBucket("pictures"), records=MemoryRecords(), counts=counts),
        clock=lambda: 1_764_000_000.0,
        new_submission_id=lambda: f"submission-{next(numbers)}",
        callers=CALLERS,
    )

    async def send(*asked: str) -> HttpReply:
        return await front_door.answer(submission(*asked))

    assert (await send("dog", "return")).status == 200
    for _ in range(3):
        assert (await send("dog", "return")).status == 200
        assert (await send("dog", "refuse")).status == 409
    assert list(counts.counts.values()) == [1]
    assert (await send("cat")).status == 200
    assert (await send("bird")).status == 429
