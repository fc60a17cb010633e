"""A caller's tasks, newest first, through both doors; and what an operator sees of everybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.contract.doors import DOORS, NOW, Doors, opened

from darkroom.api.listing import MOST_LOOKED_AT
from darkroom.errors import AwsUnavailable
from darkroom.tasks.task import Status


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Doors]:
    async with opened(request.param) as opened_door:
        yield opened_door


def ids(reply: Any) -> list[str]:
    assert reply.status == 200, reply.body
    return [task["id"] for task in reply.body["tasks"]]


async def every_page(door: Doors, path: str, caller: str = "shop") -> list[list[str]]:
    pages, token = [], ""
    while len(pages) < 100:
        reply = await door.get(path + token, caller)
        pages.append(ids(reply))
        if "next" not in reply.body:
            return pages
        token = f"&next={reply.body['next']}"
    raise AssertionError("the list does not end")


async def test_a_callers_own_tasks_are_listed_newest_first(door: Doors) -> None:
    assert (await door.get("/v1alpha2/tasks")).body == {"tasks": []}
    for task_id in ("first", "second", "third"):
        door.clock[0] += 1
        await door.submit(task_id)
        await door.submit(task_id, "lab")
    reply = await door.get("/v1alpha2/tasks/")
    assert ids(reply) == ["third", "second", "first"]
    assert reply.body["tasks"][0] == (await door.get("/v1alpha2/tasks/third")).body
    assert "next" not in reply.body


async def test_pages_lead_through_the_whole_list_and_each_task_comes_once(door: Doors) -> None:
    for number in range(10):
        door.keep(f"t{number}", created_at=NOW + number)
    pages = await every_page(door, "/v1alpha2/tasks?limit=4")
    assert pages == [["t9", "t8", "t7", "t6"], ["t5", "t4", "t3", "t2"], ["t1", "t0"]]


async def test_a_page_goes_on_where_it_ended_whatever_comes_meanwhile(door: Doors) -> None:
    for number in range(6):
        door.keep(f"t{number}", created_at=NOW + number)
    first = await door.get("/v1alpha2/tasks?limit=3")
    door.keep("new", created_at=NOW + 100)
    del door.records.records["t3", "shop"]
    assert ids(await door.get(f"/v1alpha2/tasks?limit=3&next={first.body['next']}")) == ["t2", "t1", "t0"]


async def test_what_is_filtered_by_is_all_that_is_shown(door: Doors) -> None:
    door.keep("q", created_at=NOW)
    door.keep("r", created_at=NOW + 1, status=Status.RUNNING)
    door.keep("c", created_at=NOW + 2, status=Status.COMPLETED, runtime="comfy")
    door.keep("f", created_at=NOW + 3, status=Status.FAILED)
    assert ids(await door.get("/v1alpha2/tasks?status=running")) == ["r"]
    assert ids(await door.get("/v1alpha2/tasks?status=queued,%20failed")) == ["f", "q"]
    assert ids(await door.get("/v1alpha2/tasks?runtime=comfy")) == ["c"]
    assert ids(await door.get("/v1alpha2/tasks?runtime=comfy&status=queued")) == []
    assert ids(await door.get("/v1alpha2/tasks?since=2027-01-15T08:00:02Z")) == ["f", "c"]
    assert ids(await door.get("/v1alpha2/tasks?since=2027-01-15T09:00:02+01:00")) == ["f", "c"]
    assert ids(await door.get(f"/v1alpha2/tasks?since={NOW + 2:.0f}")) == ["f", "c"]
    assert ids(await door.get("/v1alpha2/tasks?since=9999-01-01T00:00:00Z")) == []


async def test_a_filter_that_few_fit_costs_no_more_than_so_many_looks(door: Doors) -> None:
    for number in range(1000):
        door.keep(f"t{number:04}", created_at=NOW + number, status=Status.FAILED if number == 5 else Status.QUEUED)
    first = await door.get("/v1alpha2/tasks?status=failed")
    assert (ids(first), door.lists.looked_at) == ([], MOST_LOOKED_AT)
    pages = await every_page(door, "/v1alpha2/tasks?status=failed")
    assert [task_id for page in pages for task_id in page] == ["t0005"]


async def test_filtered_pages_are_full_where_they_can_be_and_miss_nothing(door: Doors) -> None:
    for number in range(500):
        status = Status.FAILED if number % 7 == 0 else Status.QUEUED
        door.keep(f"t{number:03}", created_at=NOW + number, status=status)
    pages = await every_page(door, "/v1alpha2/tasks?status=failed&limit=10")
    assert [task_id for page in pages for task_id in page] == [f"t{number:03}" for number in range(497, -1, -7)]
    assert [len(page) for page in pages[:-1]] == [10] * (len(pages) - 1)


async def test_a_page_fits_into_what_aws_lambda_returns(door: Doors) -> None:
    for number in range(100):
        door.keep(f"t{number:02}", created_at=NOW + number, context='"' * 60_000)
    pages = await every_page(door, "/v1alpha2/tasks?limit=100")
    assert [task_id for page in pages for task_id in page] == [f"t{number:02}" for number in range(99, -1, -1)]
    assert max(map(len, pages)) * 60_000 * 4 < 6_000_000  # each quote is escaped twice


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("since=yesterday", "since"),
        ("since=2027-01-15T08:00:00", "since"),
        ("since=-1", "since"),
        ("next=", "next"),
        ("next=%20", "next"),
        ("next=AAAA", "next"),
        ("next=" + "A" * 5000, "next"),
        ("next=" + quote("é"), "next"),
        ("statuses=queued", "statuses"),
    ],
)
async def test_a_parameter_that_cannot_be_meant_is_refused(door: Doors, query: str, path: str) -> None:
    reply = await door.get(f"/v1alpha2/tasks?{query}")
    assert (reply.status, [fault["path"] for fault in reply.body["errors"]]) == (400, [path])


async def test_a_task_that_was_not_accepted_is_not_listed(door: Doors) -> None:
    door.topic.failure = AwsUnavailable("publishing: throttled")
    assert (await door.submit("lost")).status == 503
    assert (await door.get("/v1alpha2/tasks")).body == {"tasks": []}


async def test_when_the_table_is_away_the_caller_is_told_to_try_again(door: Doors) -> None:
    door.records.failure = AwsUnavailable("listing: throttled")
    assert (await door.get("/v1alpha2/tasks")).status == 503


async def test_an_operator_sees_everybodys_tasks_and_whose_they_are(door: Doors) -> None:
    for number, caller in enumerate(("shop", "lab", "", "boss")):
        door.keep("same", caller, created_at=NOW + number)
    reply = await door.get("/v1alpha2/tasks", "boss")
    assert [task["caller"] for task in reply.body["tasks"]] == ["boss", "", "lab", "shop"]
    assert ids(await door.get("/v1alpha2/tasks?caller=lab", "boss")) == ["same"]
    assert [task["caller"] for task in (await door.get("/v1alpha2/tasks?caller=", "boss")).body["tasks"]] == [""]
    assert ids(await door.get("/v1alpha2/tasks?caller=somebody", "boss")) == []
    assert "caller" not in (await door.get("/v1alpha2/tasks")).body["tasks"][0]


async def test_an_operator_looks_up_and_cancels_his_own_then_nobodys_and_whose_he_names(door: Doors) -> None:
    door.keep("t", "shop")
    assert (await door.get("/v1alpha2/tasks/t", "boss")).status == 404
    assert (await door.get("/v1alpha2/tasks/t?caller=shop", "boss")).body["caller"] == "shop"
    door.keep("t", "")
    assert (await door.get("/v1alpha2/tasks/t", "boss")).body["caller"] == ""
    assert (await door.get("/v1alpha2/tasks/t", "lab")).status == 404
    door.keep("t", "boss")
    assert (await door.get("/v1alpha2/tasks/t", "boss")).body["caller"] == "boss"
    assert (await door.get("/v1alpha2/tasks/t?caller=", "boss")).body["caller"] == ""
    door.clock[0] += 5
    reply = await door.send("boss", "PUT", "/v1alpha2/tasks/t/cancel?caller=shop")
    assert (reply.status, reply.body["caller"], reply.body["cancel_requested"]) == (202, "shop", True)
    assert reply.body["updated_at"] == "2027-01-15T08:00:05Z"
    asked = {caller: door.records.records["t", caller].cancel_requested for caller in ("shop", "", "boss")}
    assert asked == {"shop": True, "": False, "boss": False}


@pytest.mark.parametrize("caller", ["lab", "shop", ""])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1alpha2/tasks"), ("GET", "/v1alpha2/tasks/t"), ("PUT", "/v1alpha2/tasks/t/cancel")]
)
async def test_nobody_else_may_name_a_caller(door: Doors, method: str, path: str, caller: str) -> None:
    door.keep("t", "lab")
    reply = await door.send("shop", method, f"{path}?caller={caller}")
    assert (reply.status, "operator" in reply.body["message"]) == (403, True)
    assert not door.records.records["t", "lab"].cancel_requested


async def test_what_cannot_be_a_callers_name_is_refused(door: Doors) -> None:
    for name in ("a%2Fb", "x" * 65, "a%00"):
        reply = await door.get(f"/v1alpha2/tasks?caller={name}", "boss")
        assert (reply.status, reply.body["errors"][0]["path"]) == (400, "caller")
