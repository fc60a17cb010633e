"""What does tasks and how busy it is, and where a queued task stands, through both doors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.contract.doors import DOORS, NOW, Doors, opened

from darkroom.errors import AwsDenied
from darkroom.tasks.heartbeat import AgentState, Heartbeat
from darkroom.tasks.queue_depth import QueueDepth
from darkroom.tasks.task import Status
from darkroom.testing.dead_letters import MemoryDeadLetters
from darkroom.testing.runtime_ports import MemoryRuntimes

CALLED = ("shop", "boss")


@dataclass
class Busy:
    door: Doors
    runtimes: MemoryRuntimes


@pytest.fixture(params=DOORS)
async def busy(request: pytest.FixtureRequest) -> AsyncIterator[Busy]:
    runtimes = MemoryRuntimes()
    async with opened(request.param, depths=runtimes, heartbeats=runtimes.heartbeats) as door:
        yield Busy(door, runtimes)


def beat(name: str, **fields: object) -> Heartbeat:
    given = {"seen_at": NOW, "state": AgentState.READY, "in_work": 1, **fields}
    return Heartbeat(agent=name, runtime="sdruntime", **given)  # type: ignore[arg-type]


async def test_runtimes_say_what_they_do_and_how_busy_they_are(busy: Busy) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=12, in_flight=4)
    busy.runtimes.beats["sdruntime"] = [
        beat("a", service_seconds=4.0, model="v1-5-pruned-emaonly.safetensors"),
        beat("b", service_seconds=4.0, state=AgentState.UNWELL),
    ]
    reply = await busy.door.get("/v1alpha2/runtimes")
    assert reply.body == {
        "runtimes": [
            {
                "name": "sdruntime",
                "type": "sdwebui",
                "tasktypes": ["extra-batch-images", "extra-single-image", "image-to-image", "text-to-image"],
                "models": ["v1-5-pruned-emaonly.safetensors"],
                "agents_ready": 1,
                "loaded": ["v1-5-pruned-emaonly.safetensors"],
                "waiting": 12,
                "in_work": 4,
                "estimated_wait_seconds": 50.0,
                "service_seconds": 4.0,
            },
            {"name": "comfy", "type": "comfyui", "tasktypes": ["pipeline"], "models": [], "agents_ready": 0},
        ]
    }


async def test_an_operator_is_told_of_each_agent_and_nobody_else_is(busy: Busy) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=3, in_flight=1)
    busy.runtimes.beats["sdruntime"] = [
        beat("b", seen_at=NOW - 100, in_work=0),
        beat("a", service_seconds=4.0, model="m.safetensors", duty=0.75, head_sent_at=NOW - 90),
    ]
    asked = {caller: (await busy.door.get("/v1alpha2/runtimes", caller)).body["runtimes"][0] for caller in CALLED}
    assert asked["shop"]["oldest_seconds"] == asked["boss"]["oldest_seconds"] == 90.0
    assert "agents" not in asked["shop"]
    assert asked["boss"]["agents"] == [
        {
            "agent": "a",
            "state": "ready",
            "seen_at": "2027-01-15T08:00:00Z",
            "in_work": 1,
            "model": "m.safetensors",
            "service_seconds": 4.0,
            "duty": 0.75,
        },
        {"agent": "b", "state": "gone", "seen_at": "2027-01-15T07:58:20Z", "in_work": 0},
    ]


@pytest.mark.parametrize("kind", DOORS)
async def test_an_operator_is_told_how_many_dead_letters_there_are(kind: str) -> None:
    letters = MemoryDeadLetters({"sdruntime": []})
    async with opened(kind, dead_letters=letters) as door:
        told = (await door.get("/v1alpha2/runtimes", "boss")).body["runtimes"]
        assert [runtime.get("dead_letters") for runtime in told] == [0, None]
        assert "dead_letters" not in (await door.get("/v1alpha2/runtimes")).body["runtimes"][0]


async def test_a_queued_task_is_told_its_place_and_when_it_is_likely_to_be_begun(busy: Busy) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=40, in_flight=2)
    busy.runtimes.beats["sdruntime"] = [beat("a", service_seconds=3.0, head_sent_at=NOW - 100)]
    busy.door.keep("t", created_at=NOW - 75)
    body = (await busy.door.get("/v1alpha2/tasks/t")).body
    assert (body["position"], body["estimated_start"]) == (10, "2027-01-15T08:00:32Z")


async def test_tasks_that_agents_have_fetched_have_no_place_but_a_time(busy: Busy) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=0, in_flight=3)
    busy.runtimes.beats["sdruntime"] = [beat("a", service_seconds=3.0, head_sent_at=NOW - 20)]
    for number in range(3):
        busy.door.keep(f"t{number}", created_at=NOW - 10 + number)
        body = (await busy.door.get(f"/v1alpha2/tasks/t{number}")).body
        assert "position" not in body
        assert body["estimated_start"] == "2027-01-15T08:00:02Z"


@pytest.mark.parametrize("fields", [{"status": Status.RUNNING}, {"status": Status.COMPLETED}, {"attempts": 2}])
async def test_who_does_not_wait_in_line_has_no_place(busy: Busy, fields: dict[str, object]) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=40, in_flight=2)
    busy.runtimes.beats["sdruntime"] = [beat("a", service_seconds=3.0, head_sent_at=NOW - 100)]
    busy.door.keep("t", created_at=NOW - 75, **fields)
    assert not (await busy.door.get("/v1alpha2/tasks/t")).body.keys() & {"position", "estimated_start"}


async def test_where_nothing_can_be_asked_everything_else_is_told(busy: Busy) -> None:
    busy.runtimes.failure = AwsDenied("asking: denied")
    busy.door.keep("t")
    reply = await busy.door.get("/v1alpha2/tasks/t")
    assert (reply.status, "position" in reply.body) == (200, False)
    runtimes = (await busy.door.get("/v1alpha2/runtimes")).body["runtimes"]
    assert [(runtime["agents_ready"], "waiting" in runtime) for runtime in runtimes] == [(0, False)] * 2


async def test_however_many_want_to_know_the_queue_is_asked_once_in_a_while(busy: Busy) -> None:
    busy.runtimes.depths["sdruntime"] = QueueDepth(waiting=1, in_flight=0)
    busy.door.keep("t")
    for _ in range(20):
        await busy.door.get("/v1alpha2/tasks/t")
    assert busy.runtimes.asked == 1
    busy.door.clock[0] += 3
    await busy.door.get("/v1alpha2/tasks/t")
    assert busy.runtimes.asked == 2


async def test_other_methods_are_not_allowed(busy: Busy) -> None:
    assert (await busy.door.send("shop", "POST", "/v1alpha2/runtimes", {})).status == 405
