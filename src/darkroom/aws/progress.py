"""How far tasks are, in the table of task records: an item beside each record, which the agent writes while it runs.

Whoever cancels a task that runs notes that in the same item, and no report takes the note's place: so the agent learns
of it from what it writes anyway, and otherwise from an item of a few bytes, whatever its task's record holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.batches import read_items
from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import EXPIRY_ATTRIBUTE, Item, change_keys, from_attribute, progress_key, to_attribute
from darkroom.tasks.progress import Progress, ProgressReport

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

RETENTION_SECONDS = 24 * 3600
# The note that the task is to be stopped.
_STOP = "cancel_requested"


class ProgressTable:
    """The progress items of one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def write(self, report: ProgressReport) -> bool:
        """Keep how far a task is, in place of what was known before; return False where it is to be stopped."""
        try:
            with translated(f"writing the progress of task {report.task_id}", f"writing to the table {self._table}"):
                await self._client.put_item(
                    TableName=self._table,
                    Item=report_to_item(report),
                    ConditionExpression=f"attribute_not_exists({_STOP})",
                )
        except AlreadyExists:
            return False
        return True

    async def ask_to_stop(self, submission_id: str, now: float) -> None:
        """Note that a submission that runs is to be stopped, at `now`, in seconds since 1970."""
        with translated(f"cancelling submission {submission_id}", f"writing to the table {self._table}"):
            await self._client.update_item(
                TableName=self._table,
                Key=progress_key(submission_id),
                UpdateExpression=f"SET {_STOP} = :yes, {EXPIRY_ATTRIBUTE} = :expiry",
                ExpressionAttributeValues={
                    ":yes": to_attribute(True),
                    ":expiry": to_attribute(int(now) + RETENTION_SECONDS),
                },
            )

    async def is_to_be_stopped(self, submission_id: str) -> bool:
        """Whether somebody has asked for a submission that runs to be stopped, now or a moment before."""
        doing = f"looking whether submission {submission_id} was cancelled"
        with translated(doing, f"reading from the table {self._table}"):
            reply = await self._client.get_item(
                TableName=self._table, Key=progress_key(submission_id), ProjectionExpression=_STOP
            )
        return _STOP in reply.get("Item", {})

    async def read(self, submission_ids: Sequence[str]) -> dict[str, Progress]:
        """How far these submissions are, by their ids; of those that have said nothing there is nothing."""
        items = await read_items(self._client, self._table, [progress_key(id_) for id_ in submission_ids])
        reports = [item_to_report(item) for item in items.values() if "value" in item]  # else it is a note alone
        return {report.submission_id: report.progress for report in reports}


def report_to_item(report: ProgressReport) -> Item:
    """The item for `report`; it expires a day later."""
    fields = {**msgspec.to_builtins(report), **msgspec.to_builtins(report.progress)}
    del fields["progress"]
    return {
        **{name: to_attribute(value) for name, value in fields.items()},
        EXPIRY_ATTRIBUTE: to_attribute(int(report.updated_at) + RETENTION_SECONDS),
        **change_keys(report.caller, report.submission_id, report.updated_at),
        **progress_key(report.submission_id),
    }


def item_to_report(item: Mapping[str, Mapping[str, Any]]) -> ProgressReport:
    """The report that `item` holds. Raises `msgspec.ValidationError` for an item that is none."""
    fields = {name: from_attribute(value) for name, value in item.items()}
    return msgspec.convert({**fields, "progress": fields}, type=ProgressReport)
