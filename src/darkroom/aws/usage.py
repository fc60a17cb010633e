"""Callers' usage in the table of task records: one item for each caller, runtime and day, in a few shards.

It is added to in the very write that ends a task's record (`darkroom.aws.task_table.TaskTable.end`): both happen, or
neither. Two such writes at once at one item are a conflict, which Amazon DynamoDB refuses, so there are some.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.batches import read_items
from darkroom.aws.errors import translated
from darkroom.aws.records import (
    EXPIRY_ATTRIBUTE,
    KEY_ATTRIBUTE,
    LISTED_AS,
    LISTED_UNDER,
    Item,
    from_attribute,
    to_attribute,
)
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.usage import DayUsage, Usage, usage_of

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# A year, and a month more to bill it.
RETENTION_SECONDS = 400 * 24 * 3600
_SHARDS = 8
_INDEX = "listing"


class UsageTable:
    """The usage that is kept in one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def read(self, callers: Sequence[str], *, first_day: str, last_day: str) -> list[DayUsage]:
        """What `callers` have used from one day to another, both included: by caller, day and runtime, in order."""
        found: dict[tuple[str, str, str], Usage] = {}
        for caller in callers:
            keys = [{KEY_ATTRIBUTE: {"S": key}} for key in await self._keys(caller, first_day, last_day)]
            for item in (await read_items(self._client, self._table, keys) if keys else {}).values():
                day, runtime, _ = item[LISTED_AS]["S"].split("/")
                before = found.get((caller, day, runtime), Usage())
                found[caller, day, runtime] = before.plus(_usage_in(item))
        return [
            DayUsage(caller=caller, day=day, runtime=runtime, usage=usage)
            for (caller, day, runtime), usage in sorted(found.items())
        ]

    async def _keys(self, caller: str, first_day: str, last_day: str) -> list[str]:
        keys: list[str] = []
        more: dict[str, Any] = {}
        while True:
            with translated(f"looking for the usage of {caller}", f"reading from the table {self._table}"):
                reply: Any = await self._client.query(
                    TableName=self._table,
                    IndexName=_INDEX,
                    KeyConditionExpression=f"{LISTED_UNDER} = :caller AND {LISTED_AS} BETWEEN :first AND :last",
                    ExpressionAttributeValues={
                        ":caller": {"S": _partition(caller)},
                        ":first": {"S": f"{first_day}/"},
                        ":last": {"S": f"{last_day}0"},  # "0" follows "/"
                    },
                    **more,
                )
            keys += [item[KEY_ATTRIBUTE]["S"] for item in reply["Items"]]
            if "LastEvaluatedKey" not in reply:
                return keys
            more = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


def addition(record: TaskRecord) -> dict[str, Any]:
    """The update of a usage item by which the end that `record` tells is counted: for DynamoDB, without the table."""
    day = day_of(record.updated_at)
    shard = zlib.crc32(record.submission_id.encode(errors="surrogatepass")) % _SHARDS
    pictures = len(record.image_url) + record.image_url_omitted
    used = msgspec.to_builtins(usage_of(record.status, pictures=pictures, device_seconds=record.device_seconds or 0.0))
    added = {name: value for name, value in used.items() if value}
    return {
        "Key": {KEY_ATTRIBUTE: {"S": f"usage/{record.caller}/{record.runtime}/{day}/{shard}"}},
        "UpdateExpression": (
            f"SET {LISTED_UNDER} = :under, {LISTED_AS} = :as, {EXPIRY_ATTRIBUTE} = :expires "
            f"ADD {', '.join(f'{name} :{name}' for name in added)}"
        ),
        "ExpressionAttributeValues": {
            ":under": {"S": _partition(record.caller)},
            ":as": {"S": f"{day}/{record.runtime}/{shard}"},
            ":expires": to_attribute(int(record.updated_at) + RETENTION_SECONDS),
            **{f":{name}": to_attribute(value) for name, value in added.items()},
        },
    }


def day_of(at: float) -> str:
    """The day of a time in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _partition(caller: str) -> str:
    return f"usage/{caller}"


def _usage_in(item: Item) -> Usage:
    return msgspec.convert({name: from_attribute(value) for name, value in item.items()}, type=Usage)
