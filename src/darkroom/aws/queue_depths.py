"""How many tasks are in the runtimes' queues: asked of these queues alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from darkroom.aws.queue import Queue
from darkroom.tasks.queue_depth import QueueDepth

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


class QueueDepths:
    """The queues of runtimes, by their URLs, through an open client."""

    def __init__(self, client: SQSClient, urls: Mapping[str, str]) -> None:
        self._queues = {runtime: Queue(client, url) for runtime, url in urls.items()}

    async def read(self, runtime: str) -> QueueDepth | None:
        """How many messages the queue of a runtime holds; None where it is not known. Raises an `AwsFailure`."""
        queue = self._queues.get(runtime)
        if queue is None:
            return None
        attributes = await queue.read_attributes()
        return QueueDepth(waiting=attributes.visible, in_flight=attributes.in_flight)
