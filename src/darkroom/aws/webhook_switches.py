"""Which callers' webhooks are switched off, in the table of task records: one item for each caller whose ever was.

The webhooks themselves stand in config.yaml; an item names the URL that it is about, so that a new one is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.errors import translated
from darkroom.aws.records import KEY_ATTRIBUTE, Item, from_attribute, to_attribute
from darkroom.tasks.webhook import SwitchedOff

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class WebhookSwitches:
    """The switches in one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    async def read(self, caller: str) -> SwitchedOff | None:
        """What is switched off of a caller's; None where nothing is."""
        with translated(f"reading the switch of {caller}'s webhook", f"reading from the table {self._name}"):
            reply: Any = await self._client.get_item(TableName=self._name, Key=_key(caller), ConsistentRead=True)
        item = reply.get("Item")
        fields = {} if item is None else {name: from_attribute(value) for name, value in item.items()}
        return msgspec.convert(fields, type=SwitchedOff) if fields.get("url") else None

    async def switch_off(self, off: SwitchedOff) -> None:
        """Write down that a caller's webhook is off."""
        await self._put(off.caller, {name: to_attribute(value) for name, value in msgspec.to_builtins(off).items()})

    async def switch_on(self, caller: str) -> None:
        """Write down that a caller's webhook is on."""
        await self._put(caller, {})

    async def _put(self, caller: str, fields: Item) -> None:
        with translated(f"writing the switch of {caller}'s webhook", f"writing to the table {self._name}"):
            await self._client.put_item(TableName=self._name, Item={**fields, **_key(caller)})


def _key(caller: str) -> Item:
    return {KEY_ATTRIBUTE: {"S": f"webhook/{caller}"}}
