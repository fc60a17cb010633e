"""The counts of callers' tasks, in the table of task records: what a limit for a month is kept by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import COUNT_RETENTION_SECONDS, count_key, to_attribute

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class TaskCounts:
    """Counts of one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def count_task(self, caller: str, month: str, most: int) -> bool:
        """Count one more task of `caller` in `month` (as in 2026-11), or return False where it has had `most`.

        A count whose answer is lost is sent again by the AWS library, and may then have counted twice.
        """
        if most < 1:
            return False
        month_began = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp()
        try:
            with translated(f"counting the tasks of {caller}", f"writing to the table {self._table}"):
                await self._client.update_item(
                    TableName=self._table,
                    Key=count_key(caller, month),
                    UpdateExpression="SET expires_at = :expires_at ADD tasks :one",
                    ConditionExpression="attribute_not_exists(tasks) OR tasks < :most",
                    ExpressionAttributeValues={
                        ":expires_at": to_attribute(int(month_began) + COUNT_RETENTION_SECONDS),
                        ":one": to_attribute(1),
                        ":most": to_attribute(most),
                    },
                )
        except AlreadyExists:
            return False
        return True

    async def uncount_task(self, caller: str, month: str) -> None:
        """Count one task less: it was not accepted."""
        with translated(f"counting the tasks of {caller}", f"writing to the table {self._table}"):
            await self._client.update_item(
                TableName=self._table,
                Key=count_key(caller, month),
                UpdateExpression="ADD tasks :less",
                ExpressionAttributeValues={":less": to_attribute(-1)},
            )
