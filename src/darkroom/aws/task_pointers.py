"""The pointers of a table of task records: which submission a caller's task id stands for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import POINTER_RETENTION_SECONDS, pointer_key, to_attribute
from darkroom.tasks.record import TaskRecord

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class TaskPointers:
    """The pointers in one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def latest(self, task_id: str, caller: str) -> str | None:
        """The submission that a caller's task id points to."""
        return text_of(await self._read(task_id, caller), "latest")

    async def point(self, record: TaskRecord, condition: str, values: Mapping[str, Any]) -> str | None:
        """Have a task's id point to `record`, if `condition` is met; return what it pointed to before, if known."""
        created_at = record.created_at
        try:
            with translated(f"pointing to the record of task {record.id}", self._writing):
                reply: Any = await self._client.update_item(
                    TableName=self._table,
                    Key=pointer_key(record.id, record.caller),
                    UpdateExpression=(
                        "SET previous = if_not_exists(latest, :none), latest = :latest, "
                        "created_at = :created_at, expires_at = :expires_at"
                    ),
                    ConditionExpression=condition,
                    ExpressionAttributeValues={
                        ":none": {"S": ""},
                        ":latest": {"S": record.submission_id},
                        ":created_at": to_attribute(created_at),
                        ":expires_at": to_attribute(int(created_at) + POINTER_RETENTION_SECONDS),
                        **values,
                    },
                    ReturnValues="UPDATED_OLD",
                )
        except AlreadyExists:  # it may be that it was done before, and the answer was lost
            pointer = await self._read(record.id, record.caller)
            return text_of(pointer, "previous") if text_of(pointer, "latest") == record.submission_id else None
        return text_of(reply.get("Attributes", {}), "latest")

    async def point_back(self, task_id: str, caller: str, submission_id: str) -> None:
        """Have a task's id point to what it pointed to before this submission, where it points to that."""
        with suppress(AlreadyExists), translated(f"withdrawing the record of task {task_id}", self._writing):
            await self._client.update_item(
                TableName=self._table,
                Key=pointer_key(task_id, caller),
                UpdateExpression="SET latest = previous",
                ConditionExpression="latest = :mine",
                ExpressionAttributeValues={":mine": {"S": submission_id}},
            )

    async def _read(self, task_id: str, caller: str) -> Mapping[str, Any]:
        with translated(f"reading the record of task {task_id}", f"reading from the table {self._table}"):
            reply: Any = await self._client.get_item(
                TableName=self._table, Key=pointer_key(task_id, caller), ConsistentRead=True
            )
        item: dict[str, Any] = reply.get("Item") or {}
        return item

    @property
    def _writing(self) -> str:
        return f"writing to the table {self._table}"


def text_of(item: Mapping[str, Any], name: str) -> str | None:
    """A text of an item, or None where it has none, or an empty one."""
    return item.get(name, {}).get("S") or None
