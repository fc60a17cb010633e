"""Callers' tasks in the order in which they came, from the index `listing` of the table of task records.

A caller's tasks are spread over four partitions of the index; each is asked for its newest keys, and what is newest of
all is read. The index and what is read by it are behind the writers for some milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkroom.aws.batches import read_items
from darkroom.aws.errors import translated
from darkroom.aws.records import (
    KEY_ATTRIBUTE,
    LISTED_AS,
    LISTED_UNDER,
    WITHDRAWN,
    Item,
    item_to_record,
    listing_partitions,
    time_key,
)
from darkroom.aws.together import Positions, Together, one_after_another
from darkroom.tasks.task_list import ListedTask, ListedTasks

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

INDEX = "listing"
_FIRST, _LAST = "0", "~"


class TaskLists:
    """The lists of one table, through an open client. `together` awaits several questions to the table."""

    def __init__(self, client: DynamoDBClient, table: str, together: Together = one_after_another) -> None:
        self._client = client
        self._table = table
        self._together = together

    async def newest(
        self, callers: Sequence[str], *, before: str | None = None, since: float | None = None, most: int
    ) -> ListedTasks:
        """The newest `most` tasks of `callers` together, of those before a position and created at `since` or later.

        Those that were withdrawn are left out of them. Raises an `AwsFailure`.
        """
        first, last = _FIRST if since is None else time_key(since), before or _LAST
        if first > last:
            return ListedTasks([])
        partitions = [partition for caller in callers for partition in listing_partitions(caller)]
        # One more tells whether there is more, and the position to go on from may be found again.
        found = await self._together([self._positions(partition, first, last, most + 2) for partition in partitions])
        ids = {position: id_ for listed in found for position, id_ in listed if position != before}
        positions = sorted(ids, reverse=True)
        page = positions[:most]
        keys: list[Item] = [{KEY_ATTRIBUTE: {"S": ids[position]}} for position in page]
        items = await read_items(self._client, self._table, keys) if keys else {}
        there = [(position, items.get(ids[position])) for position in page]
        return ListedTasks(
            tasks=[
                ListedTask(position, item_to_record(item))
                for position, item in there
                if item is not None and WITHDRAWN not in item
            ],
            next=page[-1] if len(positions) > most else None,
        )

    async def _positions(self, partition: str, first: str, last: str, most: int) -> Positions:
        """The newest positions of a partition, each with its record's key."""
        with translated("listing tasks", f"reading from the table {self._table}"):
            reply: Any = await self._client.query(
                TableName=self._table,
                IndexName=INDEX,
                KeyConditionExpression=f"{LISTED_UNDER} = :partition AND {LISTED_AS} BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":partition": {"S": partition},
                    ":first": {"S": first},
                    ":last": {"S": last},
                },
                ScanIndexForward=False,
                Limit=most,
            )
        return [(item[LISTED_AS]["S"], item[KEY_ATTRIBUTE]["S"]) for item in reply["Items"]]
