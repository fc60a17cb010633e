"""How far tasks are, in the table of task records: an item beside each record, which the agent writes while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.batches import read_items
from darkroom.aws.errors import translated
from darkroom.aws.records import EXPIRY_ATTRIBUTE, Item, change_keys, from_attribute, progress_key, to_attribute
from darkroom.tasks.progress import Progress, ProgressReport

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

RETENTION_SECONDS = 24 * 3600


class ProgressTable:
    """The progress items of one table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def write(self, report: ProgressReport) -> None:
        """Keep how far a task is, in place of what was known before."""
        with translated(f"writing the progress of task {report.task_id}", f"writing to the table {self._table}"):
            await self._client.put_item(TableName=self._table, Item=report_to_item(report))

    async def read(self, submission_ids: Sequence[str]) -> dict[str, Progress]:
        """How far these submissions are, by their ids; of those that have said nothing there is nothing."""
        items = await read_items(self._client, self._table, [progress_key(id_) for id_ in submission_ids])
        reports = [item_to_report(item) for item in items.values()]
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
