"""Reading many items of the table at once, by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import translated
from darkroom.aws.records import KEY_ATTRIBUTE, Item
from darkroom.errors import AwsUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# Amazon DynamoDB takes so many keys at once, and answers with 16 MB at most: the rest of the keys are asked for again.
_MOST_AT_ONCE = 100
_MOST_TIMES = 20


async def read_items(client: DynamoDBClient, table: str, keys: Sequence[Item]) -> dict[str, Item]:
    """The items of those `keys` that are there, by what their `id` is. Raises an `AwsFailure`."""
    found: dict[str, Item] = {}
    for start in range(0, len(keys), _MOST_AT_ONCE):
        wanted: Any = {table: {"Keys": list(keys[start : start + _MOST_AT_ONCE])}}
        for _ in range(_MOST_TIMES):
            with translated("reading records", f"reading from the table {table}"):
                reply: Any = await client.batch_get_item(RequestItems=wanted)
            found |= {item[KEY_ATTRIBUTE]["S"]: item for item in reply["Responses"].get(table, ())}
            if not (wanted := reply.get("UnprocessedKeys")):
                break
        else:
            raise AwsUnavailable(f"reading records: the table {table} answers with a part of them only")
    return found
