"""`priority` at both doors: where it goes, what a record says of it, and who has no queue for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.contract.doors import DOORS, opened

from darkroom.samples import read_sample


def request(runtime: str = "sdruntime", sample: str = "text-to-image", **metadata: Any) -> dict[str, Any]:
    body = read_sample(f"v1alpha2-{sample}")
    body["task"]["metadata"] |= {"id": "t1", "runtime": runtime, **metadata}
    return body


@pytest.mark.parametrize("door", DOORS)
async def test_a_low_task_says_so_where_its_queue_is_decided_and_where_it_is_looked_up(door: str) -> None:
    async with opened(door) as doors:
        reply = await doors.send("shop", "POST", "/v1alpha2", request(priority="low"))
        assert (reply.status, reply.body.get("warnings")) == (200, None), reply.body
        (message,) = doors.topic.messages
        assert message.attributes["priority"] == "low"
        assert message.attributes["runtime"] == "sdruntime"
        assert json.loads(message.text)["metadata"]["priority"] == "low"
        assert (await doors.get("/v1alpha2/tasks/t1")).body["priority"] == "low"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("metadata", [{}, {"priority": "normal"}])
async def test_a_normal_task_is_what_it_was_before_there_were_others(door: str, metadata: dict[str, Any]) -> None:
    async with opened(door) as doors:
        assert (await doors.send("shop", "POST", "/v1alpha2", request(**metadata))).status == 200
        (message,) = doors.topic.messages
        assert "priority" not in message.attributes
        assert "priority" not in json.loads(message.text)["metadata"]
        assert (await doors.get("/v1alpha2/tasks/t1")).body.get("priority", "normal") == "normal"


@pytest.mark.parametrize("door", DOORS)
async def test_a_runtime_without_a_queue_for_low_tasks_refuses_them_and_says_what_to_do(door: str) -> None:
    async with opened(door) as doors:
        reply = await doors.send("shop", "POST", "/v1alpha2", request("comfy", "pipeline", priority="low"))
        assert reply.status == 400
        (fault,) = reply.body["errors"]
        assert fault["path"] == "task.metadata.priority"
        assert "'comfy'" in fault["reason"]
        assert "lowPriority" in fault["reason"]
        assert doors.topic.messages == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", ["high", "", 1, ["low"]])
async def test_another_priority_is_no_priority(door: str, value: Any) -> None:
    async with opened(door) as doors:
        reply = await doors.send("shop", "POST", "/v1alpha2", request(priority=value))
        assert reply.status == 400
        assert "must be one of low, normal" in json.dumps(reply.body)
