"""The DynamoDB table of task records: what the front door answers from when somebody asks after a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import KEY_ATTRIBUTE, item_key, item_to_record, record_to_item
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


_UNFINISHED = tuple(status for status in Status if not status.is_terminal)
# What the first writer of a record knows best, and nobody after it changes.
_KEPT = ("created_at", "context")


class TaskTable:
    """One table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.client = client
        self.name = name

    async def put(self, record: TaskRecord) -> None:
        """Write the record of a new submission, over that of an older one under the same id."""
        with translated(f"writing the record of task {record.id}", f"writing to the table {self.name}"):
            await self.client.put_item(TableName=self.name, Item=record_to_item(record))

    async def get(self, task_id: str) -> TaskRecord | None:
        """Read the record of the latest submission under this id."""
        with translated(f"reading the record of task {task_id}", f"reading from the table {self.name}"):
            reply = await self.client.get_item(TableName=self.name, Key=item_key(task_id), ConsistentRead=True)
        return item_to_record(reply["Item"]) if "Item" in reply else None

    async def delete(self, task_id: str, submission_id: str) -> None:
        """Remove the record of this submission, unless a newer one has taken its place."""
        try:
            with translated(f"removing the record of task {task_id}", f"writing to the table {self.name}"):
                await self.client.delete_item(
                    TableName=self.name,
                    Key=item_key(task_id),
                    ConditionExpression="submission_id = :mine",
                    ExpressionAttributeValues={":mine": {"S": submission_id}},
                )
        except AlreadyExists:
            pass

    async def request_cancel(self, task_id: str) -> TaskRecord | None:
        """Ask for a task to be stopped, unless it has ended. Return its record, or None where there is none."""
        try:
            with translated(f"cancelling task {task_id}", f"writing to the table {self.name}"):
                reply = await self.client.update_item(
                    TableName=self.name,
                    Key=item_key(task_id),
                    UpdateExpression="SET cancel_requested = :yes",
                    ConditionExpression="attribute_exists(id) AND #status IN (:queued, :running)",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":yes": {"BOOL": True},
                        ":queued": {"S": "queued"},
                        ":running": {"S": "running"},
                    },
                    ReturnValues="ALL_NEW",
                )
        except AlreadyExists:
            return await self.get(task_id)
        return item_to_record(reply["Attributes"])

    async def advance(self, record: TaskRecord) -> bool:
        """Bring the record of a submission up to date with `record`; one of a newer submission stays as it is.

        A submission that has ended does not run again: such a record stays too, and only then is False returned. A task
        that was published past the front door has no record yet: it gets one. What the first writer knows best is kept
        where it is set.
        """
        item = record_to_item(record)
        del item[KEY_ATTRIBUTE]
        item.pop("cancel_requested", None)
        assignments = [
            f"#{name} = if_not_exists(#{name}, :{name})" if name in _KEPT else f"#{name} = :{name}" for name in item
        ]
        values = {f":{name}": value for name, value in item.items()}
        ours = "submission_id = :submission_id"
        if not record.status.is_terminal:
            unfinished = {f":unfinished_{status}": {"S": status.value} for status in _UNFINISHED}
            values |= unfinished
            ours = f"({ours} AND #status IN ({', '.join(unfinished)}))"
        try:
            with translated(f"updating the record of task {record.id}", f"writing to the table {self.name}"):
                await self.client.update_item(
                    TableName=self.name,
                    Key=item_key(record.id),
                    UpdateExpression="SET " + ", ".join(assignments),
                    ConditionExpression=f"attribute_not_exists(id) OR {ours}",
                    ExpressionAttributeNames={f"#{name}": name for name in item},
                    ExpressionAttributeValues=values,
                )
        except AlreadyExists:
            found = None if record.status.is_terminal else await self.get(record.id)
            return found is None or found.submission_id != record.submission_id
        return True
