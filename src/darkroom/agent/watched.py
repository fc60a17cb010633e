"""The agent's bucket and table for whoever only reads there: when AWS is away, that is noticed (`Outages.once`)."""

from __future__ import annotations

from darkroom.agent.outages import Outages
from darkroom.aws.bucket import Bucket
from darkroom.aws.task_table import TaskTable
from darkroom.tasks.record import TaskRecord


class WatchedBucket(Bucket):
    """A bucket whose reads are watched."""

    def __init__(self, bucket: Bucket, outages: Outages) -> None:
        super().__init__(bucket.client, bucket.name)
        self._outages = outages

    async def get(self, key: str, *, maximum_bytes: int | None = None) -> bytes:
        """Read an object, as `Bucket.get` does."""
        read = super().get
        return await self._outages.once(lambda: read(key, maximum_bytes=maximum_bytes))


class WatchedTable(TaskTable):
    """A table whose reads are watched."""

    def __init__(self, table: TaskTable, outages: Outages) -> None:
        super().__init__(table.client, table.name)
        self._outages = outages

    async def get(self, task_id: str) -> TaskRecord | None:
        """Read a record, as `TaskTable.get` does."""
        read = super().get
        return await self._outages.once(lambda: read(task_id))
