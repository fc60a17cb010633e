"""What tasks took is read from the deployed stack's own records, and told beside what config.yaml says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from darkroom.aws.records import pointer_key, record_to_item
from darkroom.config.fit_rules import DEFAULT_QUEUE_LENGTH
from darkroom.config.loader import parse_config
from darkroom.errors import AwsRefused
from darkroom.infra.cloud import Cloud
from darkroom.infra.service_times import (
    ITEMS_PER_PAGE,
    LEAST_TASKS,
    MOST_TASKS,
    PAGES,
    ServiceTime,
    look,
    measured_times,
    said_of,
    with_measured,
)
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.loopback_aws import loopback_aws

CONFIG = """\
modelsRuntime:
- {name: told, type: sdwebui, workOff: {withinSeconds: 60, taskSeconds: 6}}
- {name: measured, type: comfyui, workOff: {withinSeconds: 60}}
- {name: unknown, type: comfyui, workOff: {withinSeconds: 60}, extraValues: {runtime: {scaling: {queueLength: 10}}}}
- {name: plain, type: comfyui}
- {name: seen, type: comfyui}
"""
TIMES = {"told": ServiceTime(7.5, 12), "measured": ServiceTime(4.0, 50), "seen": ServiceTime(2.0, 9)}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with loopback_aws(tmp_path_factory.mktemp("records")) as settings:
        yield Cloud(boto3.Session(region_name=settings.region), settings.region, settings.endpoint_url)


@pytest.fixture
def table(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[..., None]]]:
    name, client = f"tasks-{request.node.name[:40]}", cloud.client("dynamodb")
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    written = 0

    def write(count: int, **fields: Any) -> None:
        nonlocal written
        items = []
        for _ in range(count):
            written += 1
            names = {"id": f"task-{written}", "submission_id": f"{written}"}
            items.append(
                record_to_item(TaskRecord(**names, **fields)) if fields else pointer_key(names["id"], "somebody")
            )
        for start in range(0, count, 25):
            requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            client.batch_write_item(RequestItems={name: requests})

    yield name, write
    client.delete_table(TableName=name)


def test_the_median_of_the_newest_completed_tasks(cloud: Cloud, table: tuple[str, Callable[..., None]]) -> None:
    name, write = table
    write(LEAST_TASKS, runtime="a", status=Status.COMPLETED, updated_at=100.0, device_seconds=6.0)
    write(2, runtime="a", status=Status.COMPLETED, updated_at=100.0, device_seconds=600.0)
    write(60, runtime="a", status=Status.FAILED, updated_at=200.0, device_seconds=0.2)
    write(60, runtime="a", status=Status.COMPLETED, updated_at=200.0)  # of an agent that did not measure yet
    write(LEAST_TASKS - 1, runtime="b", status=Status.COMPLETED, updated_at=100.0, device_seconds=3.0)
    write(9, runtime="c", status=Status.COMPLETED, updated_at=100.0, device_seconds=90.0)
    write(MOST_TASKS, runtime="c", status=Status.COMPLETED, updated_at=200.0, device_seconds=4.0)  # another model since
    assert measured_times(cloud, name) == {
        "a": ServiceTime(6.0, LEAST_TASKS + 2),
        "c": ServiceTime(4.0, MOST_TASKS),
    }


def test_a_large_table_is_not_read_to_its_end(cloud: Cloud, table: tuple[str, Callable[..., None]]) -> None:
    name, write = table
    write((PAGES + 1) * ITEMS_PER_PAGE)  # pointers
    write(20, runtime="a", status=Status.COMPLETED, updated_at=1.0, device_seconds=6.0)
    seen: list[int] = []
    events = cloud.client("dynamodb").meta.events
    events.register("after-call.dynamodb.Scan", lambda parsed, **_: seen.append(parsed["ScannedCount"]), "seen")
    measured_times(cloud, name)
    events.unregister("after-call.dynamodb.Scan", unique_id="seen")
    assert len(seen) == PAGES
    assert sum(seen) == PAGES * ITEMS_PER_PAGE


def test_a_table_that_is_not_there_is_told(cloud: Cloud) -> None:
    with pytest.raises(AwsRefused, match="reading what tasks took from the table nothing"):
        measured_times(cloud, "nothing")


def test_what_was_measured_counts_where_nothing_is_told() -> None:
    config = with_measured(parse_config(CONFIG), TIMES)
    lengths = {
        runtime.name: runtime.scaling_value("queueLength", DEFAULT_QUEUE_LENGTH) for runtime in config.models_runtime
    }
    # Told: 60 / 6. Measured: 60 / 4. Neither: the number that stands there, or the chart's own.
    assert lengths == {"told": 10, "measured": 15, "unknown": 10, "plain": 3, "seen": 3}


def test_the_plan_says_what_is_told_what_is_measured_and_which_counts() -> None:
    assert said_of(parse_config(CONFIG), TIMES) == [
        "time of a task of told: 6 s told, 7.5 s measured (median of 12 recent ones)",
        "time of a task of measured: 4 s measured (median of 50 recent ones), which workOff goes by",
        "time of a task of unknown: none told or measured yet; queueLength is 10 until some are done and you deploy"
        " again",
        "time of a task of seen: 2 s measured (median of 9 recent ones)",
    ]


def test_nobody_who_may_look_is_no_fault(cloud: Cloud) -> None:
    lines: list[str] = []
    assert look(cloud, {}, lines.append) == {}
    assert lines == []
    assert look(cloud, {"TaskTable": "nothing"}, lines.append) == {}
    assert lines[0].startswith("tasks: reading what tasks took from the table nothing: ")
