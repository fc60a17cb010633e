"""What has changed of a caller's tasks, in the order of time, from the index `changes` of the table of task records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import translated
from darkroom.aws.records import CHANGED_AS, CHANGED_UNDER, KEY_ATTRIBUTE, change_partitions, submission_of
from darkroom.aws.together import Together, one_after_another
from darkroom.tasks.change import Change

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

INDEX = "changes"


class Changes:
    """The changes of one table, through an open client. `together` awaits several questions to the table."""

    def __init__(self, client: DynamoDBClient, table: str, together: Together = one_after_another) -> None:
        self._client = client
        self._table = table
        self._together = together

    async def after(self, caller: str, position: str, most: int) -> list[Change]:
        """The first `most` changes of a caller's tasks after a position. Of a task that has changed twice, the last.

        Raises an `AwsFailure`.
        """
        found = await self._together([self._read(partition, position, most) for partition in change_partitions(caller)])
        listed = sorted(pair for partition in found for pair in partition)
        changes = [(at, *submission_of(key)) for at, key in listed[:most]]
        return [Change(at, submission_id, is_progress) for at, submission_id, is_progress in changes]

    async def _read(self, partition: str, position: str, most: int) -> list[tuple[str, str]]:
        with translated("looking for changes", f"reading from the table {self._table}"):
            reply: Any = await self._client.query(
                TableName=self._table,
                IndexName=INDEX,
                KeyConditionExpression=f"{CHANGED_UNDER} = :partition AND {CHANGED_AS} > :position",
                ExpressionAttributeValues={":partition": {"S": partition}, ":position": {"S": position}},
                ProjectionExpression=f"{CHANGED_AS}, {KEY_ATTRIBUTE}",
                Limit=most,
            )
        return [(item[CHANGED_AS]["S"], item[KEY_ATTRIBUTE]["S"]) for item in reply["Items"]]
