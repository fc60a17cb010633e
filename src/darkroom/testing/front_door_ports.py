"""A topic, a bucket and a task table in memory, which can be told to fail: what stands behind the front door in tests.

They never suspend, so they serve the Lambda handler as well as the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.errors import AwsFailure
from darkroom.tasks.idempotency import Answered, Claim, InWork, Mine, OtherRequest
from darkroom.tasks.record import TaskRecord


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
    """Keeps objects in `objects`, by key."""

    def __init__(self, name: str = "bucket") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.failure: AwsFailure | None = None

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        """Keep an object."""
        if self.failure is not None:
            raise self.failure
        self.objects[key] = body

    async def find(self, key: str) -> bytes | None:
        """Return an object."""
        if self.failure is not None:
            raise self.failure
        return self.objects.get(key)

    async def presigned_url(self, key: str, seconds: int) -> str:
        """Return a URL that looks like a presigned one."""
        return f"https://{self.name}.example/{key}?signature=none&seconds={seconds}"


class MemoryRecords:
    """Keeps records in `records`, by task id and caller."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], TaskRecord] = {}
        self._before: dict[str, TaskRecord | None] = {}
        self.failure: AwsFailure | None = None

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

    async def request_cancel(self, task_id: str, caller: str) -> TaskRecord | None:
        """Mark the record of a task that has not ended, and return it."""
        self._check()
        record = self.records.get((task_id, caller))
        if record is not None and not record.status.is_terminal:
            record = self.records[task_id, caller] = msgspec.structs.replace(record, cancel_requested=True)
        return record

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


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
