"""The dead letters of all runtimes, as the front door reaches them: it knows the queues, and these name theirs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from darkroom.aws.dead_letters import HeldLetters, held_letters
from darkroom.aws.queue import Queue
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsRefused
from darkroom.policy.queue_urls import QueueUrls

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

# A request takes seconds. After a crash, letters come back after a minute.
_HOLD_SECONDS = 60


class DeadLetterQueues:
    """The dead letters of these queues' runtimes. The client is made when it is first needed, which is seldom.

    `make_turn` makes a lock, where there is somebody to wait for: AWS Lambda has one request at a time.
    """

    def __init__(
        self,
        make_client: Callable[[], SQSClient],
        urls: QueueUrls,
        table: TaskTable | None,
        make_turn: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._make_client = make_client
        self._urls = urls
        self._table = table
        self._found: dict[str, Queue | None] = {}
        # Two who look at once see half of the letters each.
        self._turns: defaultdict[str, AbstractAsyncContextManager[None]] = defaultdict(make_turn)

    @cached_property
    def _client(self) -> SQSClient:
        return self._make_client()

    async def count(self, runtime: str) -> int | None:
        """About how many a runtime has; None where its queue is not known, or has none. Raises an `AwsFailure`."""
        letters = await self._letters_of(runtime)
        if letters is None:
            return None
        attributes = await letters.read_attributes()
        return attributes.visible + attributes.in_flight

    @asynccontextmanager
    async def held(self, runtime: str) -> AsyncIterator[HeldLetters]:
        """Hold letters of a runtime, of whom nobody else does here. Raises an `AwsFailure`."""
        letters = await self._letters_of(runtime)
        if letters is None:
            raise AwsRefused(f"the queue of {runtime} has no dead letters that are known")
        low = self._urls.low.get(runtime)
        async with (
            self._turns[runtime],
            held_letters(
                letters,
                queue=Queue(self._client, self._urls.normal[runtime]),
                low_queue=None if low is None else Queue(self._client, low),
                table=self._table,
                now=time.time,
                hold_seconds=_HOLD_SECONDS,
            ) as held,
        ):
            yield held

    async def _letters_of(self, runtime: str) -> Queue | None:
        if runtime not in self._urls.normal:
            return None
        if runtime not in self._found:
            attributes = await Queue(self._client, self._urls.normal[runtime]).read_attributes()
            arn = attributes.dead_letter_arn
            self._found[runtime] = None if arn is None else await Queue.of_arn(self._client, arn)
        return self._found[runtime]
