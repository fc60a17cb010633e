"""The agent's bucket and table for what is not repeated until it succeeds: when AWS is away, that is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from darkroom.agent.outages import Outages
from darkroom.aws.bucket import Bucket
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsUnavailable
from darkroom.policy.object_keys import PROBE_KEY
from darkroom.tasks.record import TaskRecord


class WatchedBucket(Bucket):
    """A bucket whose reads and streams are watched."""

    def __init__(self, bucket: Bucket, outages: Outages) -> None:
        super().__init__(bucket.client, bucket.name)
        self._outages = outages

    async def get(self, key: str, *, maximum_bytes: int | None = None) -> bytes:
        """Read an object, as `Bucket.get` does."""
        read = super().get
        return await self._outages.once(lambda: read(key, maximum_bytes=maximum_bytes))

    async def put_stream_once(
        self, key: str, chunks: Callable[[], AsyncIterator[bytes]], content_type: str, mark: str
    ) -> bool:
        """Write a stream, as `Bucket.put_stream_once` does. What has streamed by cannot be sent again."""
        try:
            return await super().put_stream_once(key, chunks, content_type, mark)
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
