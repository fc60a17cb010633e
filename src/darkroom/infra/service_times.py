"""How long tasks took on the device, read from a deployed stack's records, and put in where config.yaml says nothing.

The table has no order by time: a page of it is chance's choice among the records of the last 14 days.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from darkroom.config.fit_rules import DEFAULT_QUEUE_LENGTH
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.tasks.task import Status

# A thousand items cost a fraction of a thousandth of a dollar to read; half of them only point to records.
PAGES = 4
ITEMS_PER_PAGE = 500
# Of each runtime the newest, since a new model takes another time; fewer than the least say too little.
MOST_TASKS = 50
LEAST_TASKS = 5


@dataclass(frozen=True)
class ServiceTime:
    """What one task of a runtime took on the device, in seconds, as the median of so many `tasks`."""

    median_seconds: float
    tasks: int


def measured_times(cloud: Cloud, table: str) -> dict[str, ServiceTime]:
    """The time of each runtime of which enough completed tasks were found. Raises `AwsFailure`."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    client = cloud.client("dynamodb")
    start: dict[str, Any] = {}
    for _ in range(PAGES):
        with translated(f"reading what tasks took from the table {table}"):
            page: Mapping[str, Any] = client.scan(
                TableName=table,
                Limit=ITEMS_PER_PAGE,
                FilterExpression="#status = :completed AND attribute_exists(device_seconds)",
                ProjectionExpression="#runtime, updated_at, device_seconds",
                ExpressionAttributeNames={"#status": "status", "#runtime": "runtime"},
                ExpressionAttributeValues={":completed": {"S": Status.COMPLETED.value}},
                **start,
            )
        for item in page["Items"]:
            seconds = float(item["device_seconds"]["N"])
            if seconds > 0 and math.isfinite(seconds):
                changed_at = float(item.get("updated_at", {"N": "0"})["N"])  # left out where it is 0
                found[item["runtime"]["S"]].append((changed_at, seconds))
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    newest = {runtime: sorted(tasks)[-MOST_TASKS:] for runtime, tasks in found.items()}
    return {
        runtime: ServiceTime(max(0.01, round(median(seconds for _, seconds in tasks), 2)), len(tasks))
        for runtime, tasks in newest.items()
        if len(tasks) >= LEAST_TASKS
    }


def with_measured(config: DarkroomConfig, times: Mapping[str, ServiceTime]) -> DarkroomConfig:
    """The configuration with what was measured, where it says how soon tasks are to be done but not what one takes."""
    runtimes = []
    for runtime in config.models_runtime:
        time = times.get(runtime.name)
        if time is not None and runtime.work_off is not None and runtime.work_off.task_seconds is None:
            work_off = runtime.work_off.model_copy(update={"task_seconds": time.median_seconds})
            runtime = runtime.model_copy(update={"work_off": work_off})
        runtimes.append(runtime)
    return config.model_copy(update={"models_runtime": runtimes})


def look(cloud: Cloud, outputs: Mapping[str, str], told: Told) -> dict[str, ServiceTime]:
    """The same for the stack with these outputs; none where there is no stack, or where nobody may look."""
    if "TaskTable" not in outputs:
        return {}
    try:
        return measured_times(cloud, outputs["TaskTable"])
    except AwsFailure as error:
        told(f"tasks: {error}: nobody could look what they took")
        return {}


def said_of(config: DarkroomConfig, times: Mapping[str, ServiceTime]) -> list[str]:
    """A line for each runtime of which something is known or asked: what one task takes, and what follows.

    `config` is as it was written, without what was measured.
    """
    lines = []
    for runtime in config.models_runtime:
        work_off, time = runtime.work_off, times.get(runtime.name)
        measured = "" if time is None else f"{time.median_seconds:g} s measured (median of {time.tasks} recent ones)"
        if work_off is None:
            said = measured
        elif work_off.task_seconds is not None:
            said = f"{work_off.task_seconds:g} s told, {measured or 'none measured yet'}"
        elif time is not None:
            said = f"{measured}, which workOff goes by"
        else:
            length = runtime.scaling_value("queueLength", DEFAULT_QUEUE_LENGTH)
            said = f"none told or measured yet; queueLength is {length} until some are done and you deploy again"
        if said:
            lines.append(f"time of a task of {runtime.name}: {said}")
    return lines
