"""Agents' heartbeats in the table of task records: what the front door knows of a runtime's agents."""

from __future__ import annotations

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
    agents_partition,
    from_attribute,
    heartbeat_key,
    to_attribute,
)
from darkroom.tasks.heartbeat import Heartbeat

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# An agent that dies leaves its heartbeat behind for so long; whoever reads it sees by its time that it is gone.
RETENTION_SECONDS = 3600
# Of a runtime with more agents than this, so many are looked at.
MOST_AGENTS = 500
_INDEX = "listing"


class HeartbeatTable:
    """The heartbeats of one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def write(self, heartbeat: Heartbeat) -> None:
        """Keep what an agent says of itself, in place of what it said before."""
        with translated("writing the heartbeat", f"writing to the table {self._table}"):
            await self._client.put_item(TableName=self._table, Item=heartbeat_to_item(heartbeat))

    async def delete(self, runtime: str, agent: str) -> None:
        """Forget an agent, which ends."""
        with translated("deleting the heartbeat", f"writing to the table {self._table}"):
            await self._client.delete_item(TableName=self._table, Key=heartbeat_key(runtime, agent))

    async def read(self, runtime: str) -> list[Heartbeat]:
        """What the agents of a runtime said last, also of those that are gone since."""
        with translated(f"looking for the agents of {runtime}", f"reading from the table {self._table}"):
            reply: Any = await self._client.query(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression=f"{LISTED_UNDER} = :agents",
                ExpressionAttributeValues={":agents": {"S": agents_partition(runtime)}},
                Limit=MOST_AGENTS,
            )
        keys = [{KEY_ATTRIBUTE: item[KEY_ATTRIBUTE]} for item in reply["Items"]]
        items = await read_items(self._client, self._table, keys) if keys else {}
        return [item_to_heartbeat(item) for item in items.values()]


def heartbeat_to_item(heartbeat: Heartbeat) -> Item:
    """The item for `heartbeat`. An agent's next one has the same keys, so the index is written once for each agent."""
    return {
        **{name: to_attribute(value) for name, value in msgspec.to_builtins(heartbeat).items()},
        EXPIRY_ATTRIBUTE: to_attribute(int(heartbeat.seen_at) + RETENTION_SECONDS),
        LISTED_UNDER: {"S": agents_partition(heartbeat.runtime)},
        LISTED_AS: {"S": heartbeat.agent},
        **heartbeat_key(heartbeat.runtime, heartbeat.agent),
    }


def item_to_heartbeat(item: Item) -> Heartbeat:
    """The heartbeat that `item` holds. Raises `msgspec.ValidationError` for an item that is none."""
    return msgspec.convert({name: from_attribute(value) for name, value in item.items()}, type=Heartbeat)
