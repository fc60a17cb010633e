"""A topic, a bucket and a task table in memory, which can be told to fail: what stands behind the front door in tests.

They never suspend, so they serve the Lambda handler as well as the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from darkroom.errors import AwsFailure, AwsRefused
from darkroom.tasks.idempotency import Answered, Claim, InWork, Mine, OtherRequest
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task_list import ListedTask, ListedTasks
from darkroom.tasks.webhook import WebhookDelivery


class Published(msgspec.Struct, frozen=True):
    """A message that was published."""

    text: str
    attributes: dict[str, str]
    payload_size: int | None
    group: str | None


class MemoryTopic:
    """Keeps what is published in `messages`; raises `failure` instead while it is set."""

    def __init__(self) -> None:
        self.messages: list[Published] = []
        self.failure: AwsFailure | None = None

    async def publish(
        self, text: str, attributes: Mapping[str, str], payload_size: int | None = None, group: str | None = None
    ) -> str:
        """Keep the message and return an id for it."""
        if self.failure is not None:
            raise self.failure
        self.messages.append(Published(text, dict(attributes), payload_size, group))
        return f"message-{len(self.messages)}"


class MemoryBucket:
    """Keeps objects in `objects`, and whose they are in `owners`, by key."""

    def __init__(self, name: str = "bucket") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.owners: dict[str, str] = {}
        self.failure: AwsFailure | None = None

    async def put(self, key: str, body: bytes, content_type: str, *, owner: str = "") -> None:
        """Keep an object, and whose it is."""
        if self.failure is not None:
            raise self.failure
        self.objects[key], self.owners[key] = body, owner

    async def find(self, key: str, *, maximum_bytes: int | None = None) -> bytes | None:
        """Return an object, if it is not too large."""
        if self.failure is not None:
            raise self.failure
        found = self.objects.get(key)
        if found is not None and maximum_bytes is not None and len(found) > maximum_bytes:
            raise AwsRefused(f"{key} is {len(found)} bytes; at most {maximum_bytes} are read")
        return found

    async def presigned_upload(
        self, key: str, size_bytes: int, content_type: str, seconds: int, owner: str = ""
    ) -> str:
        """Return a URL that looks like a presigned one."""
        return f"https://{self.name}.example/{key}?signature=none&size={size_bytes}&seconds={seconds}&owner={owner}"

    async def presigned_url(self, key: str, seconds: int) -> str:
        """Return a URL that looks like a presigned one."""
        return f"https://{self.name}.example/{key}?signature=none&seconds={seconds}"


class MemoryRecords:
    """Keeps records in `records`, by task id and caller; counts in `looks` how often submissions were asked for."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], TaskRecord] = {}
        self._before: dict[str, TaskRecord | None] = {}
        self.failure: AwsFailure | None = None
        self.looks = 0

    async def put(self, record: TaskRecord) -> None:
        """Keep the record of a new submission, and remember which one its task had before."""
        self._check()
        self._before[record.submission_id] = self.records.get((record.id, record.caller))
        self.records[record.id, record.caller] = record

    async def put_if_new(self, record: TaskRecord) -> TaskRecord | None:
        """Keep the record of a submission whose id is free, or return the one that is there."""
        self._check()
        standing = self.records.get((record.id, record.caller))
        if standing is None or standing.submission_id == record.submission_id:
            await self.put(record)
            return None
        return standing

    async def get(self, task_id: str, caller: str) -> TaskRecord | None:
        """Return the record of a caller's task."""
        self._check()
        return self.records.get((task_id, caller))

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """Return the records of these submissions."""
        self._check()
        self.looks += 1
        return {
            record.submission_id: record for record in self.records.values() if record.submission_id in submission_ids
        }

    async def get_submission(self, submission_id: str) -> TaskRecord | None:
        """Return the record of a submission."""
        self._check()
        return next((record for record in self.records.values() if record.submission_id == submission_id), None)

    async def withdraw(self, task_id: str, submission_id: str, caller: str) -> None:
        """Put back the record that the task had before this submission."""
        self._check()
        key = (task_id, caller)
        if (record := self.records.get(key)) is None or record.submission_id != submission_id:
            return
        before = self._before.get(submission_id)
        if before is None:
            del self.records[key]
        else:
            self.records[key] = before

    async def request_cancel(self, task_id: str, caller: str, now: float) -> TaskRecord | None:
        """Mark the record of a task that has not ended, and return it."""
        self._check()
        record = self.records.get((task_id, caller))
        if record is not None and not record.status.is_terminal:
            record = self.records[task_id, caller] = msgspec.structs.replace(
                record, cancel_requested=True, updated_at=now
            )
        return record

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


class MemoryTaskLists:
    """Lists what `records` keeps; counts in `looked_at` how many were."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records
        self.looked_at = 0

    async def newest(
        self, callers: Sequence[str], *, before: str | None = None, since: float | None = None, most: int
    ) -> ListedTasks:
        """The newest tasks of `callers`, of those before a position."""
        if self._records.failure is not None:
            raise self._records.failure
        listed = [
            ListedTask(f"{round(record.created_at * 1000):013d}/{record.submission_id}", record)
            for record in self._records.records.values()
            if record.caller in callers and (since is None or record.created_at >= since)
        ]
        listed.sort(key=lambda task: task.position, reverse=True)
        rest = [task for task in listed if before is None or task.position < before]
        self.looked_at += len(rest[:most])
        return ListedTasks(rest[:most], rest[most - 1].position if len(rest) > most else None)


class MemoryCounts:
    """Keeps counts in `counts`, by caller and month."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.failure: AwsFailure | None = None

    async def count_task(self, caller: str, month: str, most: int) -> bool:
        """Count a task, up to `most`."""
        self._check()
        counted = self.counts.get((caller, month), 0)
        if counted >= most:
            return False
        self.counts[caller, month] = counted + 1
        return True

    async def uncount_task(self, caller: str, month: str) -> None:
        """Count one less."""
        self._check()
        self.counts[caller, month] -= 1

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


class MemoryDeliveries:
    """Keeps deliveries of webhooks in `deliveries`, by id, the newest last."""

    def __init__(self) -> None:
        self.deliveries: dict[str, WebhookDelivery] = {}

    async def page(
        self, callers: Sequence[str], limit: int, before: str | None = None
    ) -> tuple[list[WebhookDelivery], str | None]:
        """Return the deliveries of callers, the newest first."""
        own = {
            f"{round(one.created_at * 1000):013d}/{one.id}": one
            for one in self.deliveries.values()
            if one.caller in callers
        }
        keys = sorted((key for key in own if before is None or key < before), reverse=True)[:limit]
        return [own[key] for key in keys], keys[-1] if len(keys) == limit else None

    async def get(self, delivery_id: str) -> WebhookDelivery | None:
        """Return a delivery."""
        return self.deliveries.get(delivery_id)

    async def replace(self, before: WebhookDelivery, after: WebhookDelivery) -> bool:
        """Keep `after` where `before` is kept."""
        if self.deliveries.get(before.id) != before:
            return False
        self.deliveries[after.id] = after
        return True


class MemoryQueue:
    """Keeps what is sent in `messages`; raises `failure` instead while it is set."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, str]]] = []
        self.failure: AwsFailure | None = None

    async def send(self, body: str, attributes: Mapping[str, str]) -> None:
        """Keep a message."""
        if self.failure is not None:
            raise self.failure
        self.messages.append((body, dict(attributes)))


class MemoryKeys:
    """Keeps idempotency keys in `keys`, by caller and key: digest, submission, and the answer once there is one."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], tuple[str, str, str | None]] = {}

    async def claim(self, caller: str, key: str, digest: str, submission_id: str, now: float) -> Claim:
        """Claim a key that nobody has claimed."""
        standing = self.keys.get((caller, key))
        if standing is None:
            self.keys[caller, key] = (digest, submission_id, None)
            return Mine(submission_id)
        if standing[0] != digest:
            return OtherRequest()
        return InWork() if standing[2] is None else Answered(standing[2])

    async def answer(self, caller: str, key: str, submission_id: str, body: str) -> None:
        """Keep an answer."""
        self.keys[caller, key] = (self.keys[caller, key][0], submission_id, body)

    async def give_up(self, caller: str, key: str, submission_id: str) -> None:
        """Forget a key."""
        del self.keys[caller, key]
