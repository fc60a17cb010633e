"""Lists of tasks from the real emulator: what the index holds, and what of it is told."""

from __future__ import annotations

import boto3
import msgspec

from darkroom.aws.blocking import BlockingAws, run
from darkroom.aws.records import LISTED_AS, LISTED_UNDER, submission_key
from darkroom.aws.task_lists import TaskLists
from darkroom.aws.task_table import TaskTable
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

from .conftest import Plane


def record(number: int, caller: str = "shop", **fields: object) -> TaskRecord:
    given = {"created_at": 1000.0 + number, "updated_at": 1000.0 + number, "status": Status.QUEUED, **fields}
    return TaskRecord(
        id=f"t{number}",
        submission_id=f"s-{caller}-{number}",
        runtime="sdruntime",
        caller=caller,
        **given,  # type: ignore[arg-type]
    )


def both(plane: Plane) -> tuple[TaskTable, TaskLists]:
    return plane.aws.task_table(plane.provisioned.table), plane.aws.task_lists(plane.provisioned.table)


async def test_the_newest_of_all_partitions_come_first_and_pages_lead_on(plane: Plane) -> None:
    table, lists = both(plane)
    for number in range(30):
        await table.put(record(number))
    await table.put(record(100, "lab"))
    seen, before = [], None
    while True:
        page = await lists.newest(["shop"], before=before, most=7)
        seen += [listed.record.id for listed in page.tasks]
        if (before := page.next) is None:
            break
    assert seen == [f"t{number}" for number in range(29, -1, -1)]
    some = await lists.newest(["shop"], since=1020.0, before=(await lists.newest(["shop"], most=3)).next, most=50)
    assert [listed.record.id for listed in some.tasks] == [f"t{number}" for number in range(26, 19, -1)]
    together = await lists.newest(["shop", "lab", "nobody-here"], most=2)
    assert [listed.record.caller for listed in together.tasks] == ["lab", "shop"]
    assert (await lists.newest(["shop"], since=5000.0, before="0000001000000/x", most=5)).tasks == []


async def test_the_function_lists_the_same(plane: Plane) -> None:
    table, lists = both(plane)
    for number in range(9):
        await table.put(record(number))
    blocking = BlockingAws(plane.settings, boto3.Session()).task_lists(plane.provisioned.table)
    assert run(blocking.newest(["shop"], most=5)) == await lists.newest(["shop"], most=5)


async def test_what_was_withdrawn_is_not_listed_until_somebody_does_it_nevertheless(plane: Plane) -> None:
    table, lists = both(plane)
    await table.put(record(1))
    await table.put(record(2))
    await table.withdraw("t2", "s-shop-2", "shop")
    assert [listed.record.id for listed in (await lists.newest(["shop"], most=5)).tasks] == ["t1"]
    # What the index said a moment before: the record itself says that it was withdrawn.
    stale = {LISTED_UNDER: {"S": "tasks/shop/0"}, LISTED_AS: {"S": "0000001002000/s-shop-2"}}
    await plane.aws.client("dynamodb").update_item(
        TableName=plane.provisioned.table,
        Key=submission_key("s-shop-2"),
        UpdateExpression="SET listed_under = :under, listed_as = :as",
        ExpressionAttributeValues={":under": stale[LISTED_UNDER], ":as": stale[LISTED_AS]},
    )
    assert [listed.record.id for listed in (await lists.newest(["shop"], most=5)).tasks] == ["t1"]
    await table.advance(record(2, status=Status.COMPLETED))
    assert [listed.record.id for listed in (await lists.newest(["shop"], most=5)).tasks] == ["t2", "t1"]


async def test_the_index_is_written_once_for_a_task_whatever_becomes_of_it(plane: Plane) -> None:
    table, _ = both(plane)
    keys = []
    for changed in (
        None,
        {"status": Status.RUNNING, "updated_at": 2000.0, "created_at": 1999.0},
        {"status": Status.COMPLETED, "updated_at": 3000.0, "created_at": 1999.0},
    ):
        if changed is None:
            await table.put(record(1))
        else:
            await table.request_cancel("t1", "shop", 1500.0)
            await table.advance(msgspec.structs.replace(record(1), **changed))
        item = await plane.aws.client("dynamodb").get_item(
            TableName=plane.provisioned.table, Key=submission_key("s-shop-1")
        )
        keys.append((item["Item"][LISTED_UNDER], item["Item"][LISTED_AS]))
    assert keys == [keys[0]] * 3


async def test_a_wish_to_cancel_is_a_change_that_who_follows_changes_is_told(plane: Plane) -> None:
    table, _ = both(plane)
    await table.put(record(1))
    cancelled = await table.request_cancel("t1", "shop", 1500.0)
    assert cancelled is not None
    assert (cancelled.cancel_requested, cancelled.updated_at) == (True, 1500.0)
    item = await plane.aws.client("dynamodb").get_item(
        TableName=plane.provisioned.table, Key=submission_key("s-shop-1")
    )
    assert item["Item"]["changed_as"] == {"S": "0000001500000/s-shop-1"}
