"""The agent's bucket and table for what is not repeated until it succeeds: when AWS is away, that is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from darkroom.agent.absence import Absence
from darkroom.agent.clock import Clock
from darkroom.agent.outages import Outages
from darkroom.aws.bucket import Bucket, OpenedObject
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsUnavailable
from darkroom.policy.object_keys import PROBE_KEY
from darkroom.tasks.record import TaskRecord


class WatchedBucket(Bucket):
    """A bucket whose reads and streams are watched."""

    def __init__(self, bucket: Bucket, outages: Outages, clock: Clock) -> None:
        super().__init__(bucket.client, bucket.name)
        self._outages = outages
        self._absence = Absence(bucket, clock)

    async def hides_absence(self) -> bool:
        """Find out, as `darkroom.agent.absence` has it."""
        return await self._absence.is_hidden()

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[OpenedObject]:
        """Begin to read an object, as `Bucket.open` does, and as `get` and `find` do with it."""
        try:
            async with super().open(key) as opened:
                yield opened
        except AwsUnavailable as error:
            self._outages.noticed(error, lambda: self._look_at(key))
            raise

    async def _look_at(self, key: str) -> None:
        """Begin to read an object, and leave it."""
        async with super().open(key):
            pass

    async def put_stream_once(
        self, key: str, chunks: Callable[[], AsyncIterator[bytes]], content_type: str, mark: str, owner: str = ""
    ) -> bool:
        """Write a stream, as `Bucket.put_stream_once` does. What has streamed by cannot be sent again."""
        try:
            return await super().put_stream_once(key, chunks, content_type, mark, owner)
        except AwsUnavailable as error:
            self._outages.noticed(error, lambda: self.put(PROBE_KEY, b"", content_type))
            raise


class WatchedTable(TaskTable):
    """A table whose reads are watched."""

    def __init__(self, table: TaskTable, outages: Outages) -> None:
        super().__init__(table.client, table.name)
        self._outages = outages

    async def get_submission(self, submission_id: str) -> TaskRecord | None:
        """Read a record, as `TaskTable.get_submission` does."""
        read = super().get_submission
        return await self._outages.once(lambda: read(submission_id))
