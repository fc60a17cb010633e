"""`/v1alpha2/dead-letters` at both doors: for operators alone, bounded, and no letter is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.contract.doors import DOORS, NOW, Doors, opened

from darkroom.errors import AwsUnavailable
from darkroom.policy.dead_letters import DeadLetter, read_dead_letter
from darkroom.testing.dead_letters import MemoryDeadLetters

PATH = "/v1alpha2/dead-letters"
TASK = '{"metadata": {"id": "%s", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "o"}, "content": {}}'


def letter(number: int, died_as: str = "GenerationFailed", reason: str = "out of memory", text: str = "") -> DeadLetter:
    attributes = {"dead_letter_type": died_as, "dead_letter_reason": reason, "dead_letter_received": "5"}
    own = {"caller": "shop", "submission_id": f"s{number}", "runtime": "sdruntime"}
    return read_dead_letter(f"letter-{number:04d}", text or TASK % f"t{number}", {**own, **attributes}, NOW + number)


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Doors, MemoryDeadLetters]]:
    letters = MemoryDeadLetters({"sdruntime": []})
    async with opened(request.param, dead_letters=letters) as doors:
        yield doors, letters


def ids(reply: Any) -> list[str]:
    return [one["id"] for one in reply.body["dead_letters"]]


async def redrive(doors: Doors, caller: str = "boss", **body: Any) -> Any:
    return await doors.send(caller, "POST", f"{PATH}/redrive", {"runtime": "sdruntime", **body})


async def test_an_operator_sees_letters_with_their_reasons_and_takes_nothing_away(
    door: tuple[Doors, MemoryDeadLetters],
) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(2), letter(1, reason="at https://u:p@x.example/a.png?token=secret")]
    for _ in range(2):
        reply = await doors.get(f"{PATH}?runtime=sdruntime", "boss")
        assert (reply.status, ids(reply)) == (200, ["letter-0001", "letter-0002"])
        assert (reply.body["total"], len(letters.held_ids)) == (2, 0)
    first, second = reply.body["dead_letters"]
    assert second == {
        "id": "letter-0002",
        "runtime": "sdruntime",
        "task_id": "t2",
        "caller": "shop",
        "type": "GenerationFailed",
        "reason": "out of memory",
        "tries": 5,
        "sent_at": "2027-01-15T08:00:02Z",
    }
    assert "secret" not in first["reason"]
    assert "prompt" not in str(reply.body)


@pytest.mark.parametrize("caller", ["shop", "lab"])
async def test_nobody_else_sees_them_or_has_them_done(door: tuple[Doors, MemoryDeadLetters], caller: str) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1)]
    reply = await doors.get(f"{PATH}?runtime=sdruntime", caller)
    assert reply.status == 403
    assert "operator" in reply.body["message"]
    assert (await redrive(doors, caller, all=True)).status == 403
    assert (letters.looked, letters.redriven) == (0, [])


async def test_one_all_and_those_of_a_type_are_redriven(door: tuple[Doors, MemoryDeadLetters]) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1), letter(2, "LinkRefused"), letter(3), letter(4, "LinkRefused")]
    reply = await redrive(doors, ids=["letter-0003"])
    assert (reply.status, reply.body) == (200, {"redriven": ["letter-0003"], "left": [], "more": False})
    reply = await redrive(doors, type="LinkRefused")
    assert reply.body["redriven"] == ["letter-0002", "letter-0004"]
    reply = await redrive(doors, all=True)
    assert reply.body["redriven"] == ["letter-0001"]
    assert letters.redriven == ["letter-0003", "letter-0002", "letter-0004", "letter-0001"]
    assert ids(await doors.get(f"{PATH}?runtime=sdruntime", "boss")) == []


async def test_what_no_agent_could_read_stays_and_is_said(door: tuple[Doors, MemoryDeadLetters]) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1, text="{"), letter(2)]
    listed = await doors.get(f"{PATH}?runtime=sdruntime", "boss")
    assert "unreadable" in listed.body["dead_letters"][0]
    reply = await redrive(doors, all=True)
    assert reply.body["redriven"] == ["letter-0002"]
    (left,) = reply.body["left"]
    assert left["id"] == "letter-0001"
    assert left["reason"]
    assert [one.id for one in letters.letters["sdruntime"]] == ["letter-0001"]


async def test_a_letter_that_is_gone_is_said_to_be(door: tuple[Doors, MemoryDeadLetters]) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1)]
    reply = await redrive(doors, ids=["letter-0009"])
    assert (reply.status, reply.body["redriven"]) == (200, [])
    assert reply.body["left"] == [{"id": "letter-0009", "reason": "it is not among the dead letters (any more)"}]


async def test_one_request_does_no_more_than_it_may_and_says_that_there_are_more(
    door: tuple[Doors, MemoryDeadLetters],
) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(number) for number in range(250)]
    page = await doors.get(f"{PATH}?runtime=sdruntime&limit=30", "boss")
    assert (len(ids(page)), page.body["total"]) == (30, 250)
    counts = []
    while True:
        reply = await redrive(doors, all=True)
        counts.append(len(reply.body["redriven"]))
        if not reply.body["more"]:
            break
    assert counts == [100, 100, 50]
    assert letters.letters["sdruntime"] == []


async def test_what_the_queue_does_not_take_stays_a_letter(door: tuple[Doors, MemoryDeadLetters]) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1), letter(2)]
    letters.failure = AwsUnavailable("the queue does not answer")
    reply = await redrive(doors, all=True)
    assert reply.status == 503
    assert (len(letters.letters["sdruntime"]), len(letters.held_ids)) == (2, 0)


@pytest.mark.parametrize(
    ("query", "path"),
    [("", "runtime"), ("?runtime=none", "runtime"), ("?runtime=sdruntime&limit=0", "limit"), ("?status=x", "status")],
)
async def test_what_cannot_be_listed_is_refused(door: tuple[Doors, MemoryDeadLetters], query: str, path: str) -> None:
    reply = await door[0].get(f"{PATH}{query}", "boss")
    assert reply.status == 400
    assert path in {fault["path"] for fault in reply.body["errors"]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "ids": ["a"]},
        {"ids": []},
        {"ids": "letter"},
        {"ids": [f"l{number}" for number in range(101)]},
        {"runtime": "none", "all": True},
        {"all": True, "force": True},
    ],
)
async def test_a_redrive_that_does_not_say_which_is_refused(
    door: tuple[Doors, MemoryDeadLetters], body: dict[str, Any]
) -> None:
    doors, letters = door
    letters.letters["sdruntime"] = [letter(1)]
    reply = await redrive(doors, **body)
    assert reply.status == 400
    assert reply.body["errors"] or reply.body["message"]
    assert letters.redriven == []


@pytest.mark.parametrize("kind", DOORS)
async def test_a_front_door_that_knows_no_queues_says_so(kind: str) -> None:
    async with opened(kind) as doors:
        reply = await doors.get(f"{PATH}?runtime=sdruntime", "boss")
        assert reply.status == 404
        assert "darkroom dlq" in reply.body["message"]


async def test_methods(door: tuple[Doors, MemoryDeadLetters]) -> None:
    assert (await door[0].send("boss", "DELETE", PATH)).status == 405
    assert (await door[0].get(f"{PATH}/redrive", "boss")).status == 405
