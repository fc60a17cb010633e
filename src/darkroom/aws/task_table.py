"""The DynamoDB table of task records: what the front door answers from when somebody asks after a task.

Each submission has a record of its own, and each task id of a caller points to its latest one; `darkroom.aws.records`
has the items. A caller is a name or an id of an API key, "" for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.aws.batches import read_items
from darkroom.aws.conflicts import through_conflicts
from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.progress import ProgressTable
from darkroom.aws.record_updates import IS_UNFINISHED, UNFINISHED, update_to
from darkroom.aws.records import (
    CHANGED_AS,
    CHANGED_UNDER,
    LISTED_AS,
    LISTED_UNDER,
    WITHDRAWN,
    change_keys,
    item_to_record,
    record_to_item,
    submission_key,
    to_attribute,
)
from darkroom.aws.task_pointers import TaskPointers, text_of
from darkroom.aws.usage import addition
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# Whoever writes the record of a new submission also points to it. One that was published past the front door is
# pointed to by the agent, which cannot know whether it has done so before.
_POINTED_TO = "is_pointed_to"
# A submission that was not accepted, and the one that its task's id stood for before: whoever asks is told of that one.
# It may have been withdrawn as well, where several were submitted at once. Who does such a task nevertheless (it was
# published, and reported as failed) has its id stand for it again.
_REPLACED = "replaced"
_MOST_WITHDRAWN = 100
# A field that has its default is left out, so it is there once somebody has asked.
_CANCELLED = "cancel_requested"
_INDEXED = (LISTED_UNDER, LISTED_AS, CHANGED_UNDER, CHANGED_AS)


@dataclass(frozen=True)
class Advanced:
    """A record was brought up to date; `is_to_be_stopped`: somebody had asked for that before."""

    is_to_be_stopped: bool


class TaskTable:
    """One table, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.client = client
        self.name = name
        self._pointers = TaskPointers(client, name)
        self._progress = ProgressTable(client, name)

    async def put(self, record: TaskRecord, *, in_place_of: str | None = None) -> None:
        """Write the record of a new submission, and have its task's id point to it.

        With `in_place_of`, the id only does so if it points to that submission: newer ones are not hidden.
        """
        await self._write(record)
        if in_place_of is None:
            # Not if it is so already: the one before it would be forgotten.
            replaced = await self._pointers.point(record, "attribute_not_exists(latest) OR latest <> :latest", {})
        else:
            replaced = await self._pointers.point(record, "latest = :old", {":old": {"S": in_place_of}})
        if replaced:  # ids are seldom used twice, so this seldom costs a call
            with translated(f"writing the record of task {record.id}", self._writing):
                await self.client.update_item(
                    TableName=self.name,
                    Key=submission_key(record.submission_id),
                    UpdateExpression=f"SET {_REPLACED} = :replaced",
                    ExpressionAttributeValues={":replaced": {"S": replaced}},
                )

    async def put_if_new(self, record: TaskRecord) -> TaskRecord | None:
        """Write the record of a submission whose id its caller has not used, or return the one that stands under it.

        Of several at once, one is written.
        """
        for _ in range(_MOST_WITHDRAWN):
            latest = await self._pointers.latest(record.id, record.caller)
            found = await self._accepted(latest)
            if found is not None and (standing := item_to_record(found)).submission_id != record.submission_id:
                return standing
            await self._write(record)
            if latest is None:
                await self._pointers.point(record, "attribute_not_exists(latest)", {})
            else:
                await self._pointers.point(record, "latest = :seen", {":seen": {"S": latest}})
            if await self._pointers.latest(record.id, record.caller) == record.submission_id:
                return None
            await self.withdraw(record.id, record.submission_id, record.caller)  # somebody was faster
        return None

    async def _write(self, record: TaskRecord) -> None:
        """Write the record of a new submission."""
        try:
            with translated(f"writing the record of task {record.id}", self._writing):
                await self.client.put_item(
                    TableName=self.name,
                    Item={**record_to_item(record), _POINTED_TO: {"BOOL": True}},
                    ConditionExpression="attribute_not_exists(id)",
                )
        except AlreadyExists:  # written before, and the answer was lost; an agent may have brought it up to date
            await self._take_back_withdrawal(record)

    async def _take_back_withdrawal(self, record: TaskRecord) -> None:
        """Have a submission count again that was withdrawn, since it was not accepted, and is now submitted again."""
        indexed = {name: value for name, value in record_to_item(record).items() if name in _INDEXED}
        with suppress(AlreadyExists), translated(f"writing the record of task {record.id}", self._writing):
            await self.client.update_item(
                TableName=self.name,
                Key=submission_key(record.submission_id),
                UpdateExpression=f"SET {', '.join(f'{name} = :{name}' for name in indexed)} REMOVE {WITHDRAWN}",
                ConditionExpression=f"attribute_exists({WITHDRAWN})",
                ExpressionAttributeValues={f":{name}": value for name, value in indexed.items()},
            )

    async def withdraw(self, task_id: str, submission_id: str, caller: str = "") -> None:
        """Have a caller's id stand again for what it did before this submission, which was not accepted."""
        with suppress(AlreadyExists), translated(f"withdrawing the record of task {task_id}", self._writing):
            await self.client.update_item(
                TableName=self.name,
                Key=submission_key(submission_id),
                UpdateExpression=f"SET {WITHDRAWN} = :yes REMOVE {', '.join(_INDEXED)}",
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )
        await self._pointers.point_back(task_id, caller, submission_id)

    async def get(self, task_id: str, caller: str = "") -> TaskRecord | None:
        """Read the record of the latest submission of `caller` under this id."""
        item = await self._accepted(await self._pointers.latest(task_id, caller))
        return None if item is None else item_to_record(item)

    async def _accepted(self, submission_id: str | None) -> dict[str, Any] | None:
        """Read the item of a submission, or where it was withdrawn, of the one that it had taken the place of."""
        for _ in range(_MOST_WITHDRAWN):
            if submission_id is None:
                return None
            item = await self._read(submission_key(submission_id), f"reading the record of submission {submission_id}")
            if item is None or WITHDRAWN not in item:
                return item
            submission_id = text_of(item, _REPLACED)
        return None

    async def get_submission(self, submission_id: str) -> TaskRecord | None:
        """Read the record of a submission."""
        item = await self._read(submission_key(submission_id), f"reading the record of submission {submission_id}")
        return None if item is None else item_to_record(item)

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """Read the records of these submissions, by their ids, as they are or were a moment before."""
        items = await read_items(self.client, self.name, [submission_key(id_) for id_ in submission_ids])
        records = [item_to_record(item) for item in items.values()]
        return {record.submission_id: record for record in records}

    async def _read(self, key: dict[str, Any], doing: str) -> dict[str, Any] | None:
        with translated(doing, f"reading from the table {self.name}"):
            reply: Any = await self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = reply.get("Item")
        return item

    async def request_cancel(self, task_id: str, caller: str = "", now: float | None = None) -> TaskRecord | None:
        """Ask for a caller's latest submission under this id to be stopped, unless it has ended.

        Return that submission's record, or None where there is none. The wish stays with the submission, whatever is
        submitted under the same id later. `now`, in seconds since 1970, is when the record was changed; without it, who
        follows changes is not told.

        It is noted in the record, which is read or written before a task begins; and of a task that has begun, beside
        its progress, where its agent looks all the time.
        """
        latest = await self._pointers.latest(task_id, caller)
        if latest is None:
            return None
        reply = await through_conflicts(lambda: self._ask_to_stop(task_id, latest, caller, now))
        if reply is None:
            found = await self._accepted(latest)
            if found is None:
                return None
            record = item_to_record(found)
            if record.submission_id != latest:  # that was withdrawn
                reply = await through_conflicts(lambda: self._ask_to_stop(task_id, record.submission_id, caller, now))
            if reply is None:
                return record
        record = item_to_record(reply)
        if record.status is Status.RUNNING:
            await self._progress.ask_to_stop(record.submission_id, record.updated_at or record.created_at)
        return record

    async def _ask_to_stop(
        self, task_id: str, submission_id: str, caller: str, now: float | None
    ) -> dict[str, Any] | None:
        """Write down the wish, and return the submission's item; None where it has ended, or is not to be told of."""
        changes: dict[str, Any] = {_CANCELLED: {"BOOL": True}}
        if now is not None:
            changes |= {"updated_at": to_attribute(now), **change_keys(caller, submission_id, now)}
        try:
            with translated(f"cancelling task {task_id}", self._writing):
                reply: Any = await self.client.update_item(
                    TableName=self.name,
                    Key=submission_key(submission_id),
                    UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in changes),
                    ConditionExpression=(
                        f"attribute_exists(id) AND attribute_not_exists({WITHDRAWN}) AND {IS_UNFINISHED}"
                    ),
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={f":{name}": value for name, value in changes.items()} | UNFINISHED,
                    ReturnValues="ALL_NEW",
                )
        except AlreadyExists:
            return None
        item: dict[str, Any] = reply["Attributes"]
        return item

    async def advance(
        self, record: TaskRecord, *, begins_try: bool = False, only_after: str | None = None
    ) -> Advanced | None:
        """Bring the record of a submission up to date with `record`; return None where it stays as it is.

        A record that tells an end stays as it is. A task that was published past the front door has no record yet: it
        gets one, and its id points to it, unless a newer submission has it. What the first writer knows best is kept
        where it is set. `begins_try` and `only_after` are those of `darkroom.aws.record_updates.update_to`.
        """
        update = update_to(record, begins_try=begins_try, only_after=only_after)
        try:
            with translated(f"updating the record of task {record.id}", self._writing):
                reply = await self.client.update_item(TableName=self.name, **update, ReturnValues="ALL_OLD")
        except AlreadyExists:
            return None
        before = reply.get("Attributes", {})
        await self._point_to(record, before)
        return Advanced(is_to_be_stopped=_CANCELLED in before)

    async def end(self, record: TaskRecord, *, begins_try: bool = False, is_pointed_to: bool = False) -> bool:
        """Bring a submission's record to the end that `record` tells, and count that as its caller's usage.

        Return False where it had an end before: it keeps that, and nothing is counted. Both are written, or neither.
        `is_pointed_to`: `advance` has written this record before.
        """
        key, doing = submission_key(record.submission_id), f"ending the record of task {record.id}"
        before = {_POINTED_TO: {"BOOL": True}} if is_pointed_to else await self._read(key, doing) or {}
        updates = update_to(record, begins_try=begins_try), addition(record)
        try:
            await through_conflicts(lambda: self._transact(updates, doing))
        except AlreadyExists:
            return False
        await self._point_to(record, before)
        return True

    async def _transact(self, updates: Sequence[dict[str, Any]], doing: str) -> None:
        writes: Any = [{"Update": {"TableName": self.name, **update}} for update in updates]
        with translated(doing, self._writing):
            await self.client.transact_write_items(TransactItems=writes)

    async def _point_to(self, record: TaskRecord, before: Mapping[str, Any]) -> None:
        """Have a task's id point to a record that was written over `before`, where nobody else has done that."""
        created = {":created_at": to_attribute(record.created_at)}
        if _POINTED_TO not in before:
            await self._pointers.point(record, "attribute_not_exists(id) OR created_at < :created_at", created)
        elif WITHDRAWN in before:
            await self._pointers.point(record, "created_at <= :created_at AND latest <> :latest", created)

    @property
    def _writing(self) -> str:
        return f"writing to the table {self.name}"
