"""Deliveries of webhooks, in the table of task records: one item for each, listed for its caller, the newest first.

An item lies under `delivery/` and the delivery's id, beside those that `darkroom.aws.records` describes, and is in the
index `listing` as a task's record is. It expires 14 days after its last change.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.batches import read_items
from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import (
    EXPIRY_ATTRIBUTE,
    KEY_ATTRIBUTE,
    LISTED_AS,
    LISTED_UNDER,
    SHARDS,
    Item,
    expiry,
    from_attribute,
    shard_of,
    sort_key,
    to_attribute,
)
from darkroom.aws.together import Positions, Together, one_after_another
from darkroom.tasks.webhook import WebhookDelivery

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_INDEX = "listing"
_DELIVERY_ATTRIBUTE = "delivery_id"


class DeliveryTable:
    """The deliveries in one table, through an open client. Every method may raise an `AwsFailure`.

    `together` awaits several questions to the table.
    """

    def __init__(self, client: DynamoDBClient, name: str, together: Together = one_after_another) -> None:
        self._client = client
        self._name = name
        self._together = together

    async def put(self, delivery: WebhookDelivery) -> None:
        """Write down where a delivery stands."""
        with translated(f"writing the delivery {delivery.id}", f"writing to the table {self._name}"):
            await self._client.put_item(TableName=self._name, Item=delivery_to_item(delivery))

    async def get(self, delivery_id: str) -> WebhookDelivery | None:
        """Read a delivery."""
        with translated(f"reading the delivery {delivery_id}", f"reading from the table {self._name}"):
            reply: Any = await self._client.get_item(
                TableName=self._name, Key=delivery_key(delivery_id), ConsistentRead=True
            )
        item = reply.get("Item")
        return None if item is None else item_to_delivery(item)

    async def replace(self, before: WebhookDelivery, after: WebhookDelivery) -> bool:
        """Write `after` in place of `before`; False where it is no longer so."""
        try:
            with translated(f"writing the delivery {after.id}", f"writing to the table {self._name}"):
                await self._client.put_item(
                    TableName=self._name,
                    Item=delivery_to_item(after),
                    ConditionExpression="#status = :status AND updated_at = :updated_at",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":status": to_attribute(before.status.value),
                        ":updated_at": to_attribute(before.updated_at),
                    },
                )
        except AlreadyExists:
            return False
        return True

    async def page(
        self, callers: Sequence[str], limit: int, before: str | None = None
    ) -> tuple[list[WebhookDelivery], str | None]:
        """Up to `limit` (1 to 100) deliveries of callers' tasks, the newest first, and what to ask for the next with.

        `before` is what the page before has returned.
        """
        partitions = [f"deliveries/{caller}/{shard}" for caller in callers for shard in range(SHARDS)]
        listed = await self._together([self._positions(partition, limit, before) for partition in partitions])
        newest = heapq.nlargest(limit, (position for positions in listed for position in positions))
        items = await read_items(self._client, self._name, [{KEY_ATTRIBUTE: {"S": key}} for _, key in newest])
        found = [item_to_delivery(items[key]) for _, key in newest if key in items]
        return found, newest[-1][0] if len(newest) == limit else None

    async def _positions(self, partition: str, limit: int, before: str | None) -> Positions:
        values = {":partition": to_attribute(partition)}
        condition = f"{LISTED_UNDER} = :partition"
        if before is not None:
            condition += f" AND {LISTED_AS} < :before"
            values[":before"] = to_attribute(before)
        with translated("listing deliveries", f"reading from the table {self._name}"):
            reply: Any = await self._client.query(
                TableName=self._name,
                IndexName=_INDEX,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                Limit=limit,
            )
        return [(item[LISTED_AS]["S"], item[KEY_ATTRIBUTE]["S"]) for item in reply["Items"]]


def delivery_key(delivery_id: str) -> Item:
    """The primary key of a delivery."""
    return {KEY_ATTRIBUTE: {"S": f"delivery/{delivery_id}"}}


def delivery_to_item(delivery: WebhookDelivery) -> Item:
    """The item for `delivery`."""
    fields = msgspec.to_builtins(delivery)
    fields[_DELIVERY_ATTRIBUTE] = fields.pop("id")
    return {
        **{name: to_attribute(value) for name, value in fields.items()},
        **delivery_key(delivery.id),
        LISTED_UNDER: {"S": f"deliveries/{delivery.caller}/{shard_of(delivery.id)}"},
        LISTED_AS: {"S": sort_key(delivery.created_at, delivery.id)},
        EXPIRY_ATTRIBUTE: to_attribute(expiry(delivery.updated_at)),
    }


def item_to_delivery(item: Mapping[str, Mapping[str, Any]]) -> WebhookDelivery:
    """The delivery that `item` holds."""
    fields = {name: from_attribute(value) for name, value in item.items()}
    fields["id"] = fields.pop(_DELIVERY_ATTRIBUTE, None)
    return msgspec.convert(fields, type=WebhookDelivery)
