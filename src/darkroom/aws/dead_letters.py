"""The dead letters of one runtime's queue: looked at without being taken, and put back into the queue.

SQS lets nobody look without receiving: letters that are looked at are held for a while and given back at the end. A
redrive sends first and deletes afterwards, so that no crash loses a letter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from darkroom.aws.queue import BATCH, Queue, ReceivedMessage
from darkroom.aws.task_table import TaskTable
from darkroom.errors import AwsFailure
from darkroom.policy.dead_letters import DeadLetter, read_dead_letter, redrive
from darkroom.tasks.message import owner_of
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

# While they are held here, nobody else sees them: long enough to redrive thousands, short enough to wait for after a
# crash.
_HOLD_SECONDS = 300
_WAIT_SECONDS = 1  # a short poll may miss letters: it asks a part of SQS's servers only


class HeldLetters:
    """Letters that this process holds. They come in batches; whatever is not redriven is given back by `release`."""

    def __init__(
        self,
        dead_letters: Queue,
        queue: Queue | None,
        low_queue: Queue | None,
        table: TaskTable | None,
        now: Callable[[], float],
        hold_seconds: int = _HOLD_SECONDS,
    ) -> None:
        self._hold_seconds = hold_seconds
        self._dead_letters = dead_letters
        self._queue = queue
        self._low_queue = low_queue
        self._table = table
        self._now = now
        self._handles: dict[str, str] = {}
        self._submitted: set[str] = set()

    async def receive(self) -> list[DeadLetter]:
        """Hold some more letters. None are left when the list is empty.

        A letter that was redriven here and has come back already is held, but not handed out again.
        """
        while True:
            messages = await self._dead_letters.receive(
                maximum=BATCH, wait_seconds=_WAIT_SECONDS, visibility_seconds=self._hold_seconds
            )
            letters = [letter for message in messages if (letter := self._hold(message)) is not None]
            if letters or not messages:
                return letters

    def _hold(self, message: ReceivedMessage) -> DeadLetter | None:
        seen = message.message_id in self._handles
        self._handles[message.message_id] = message.receipt_handle
        letter = read_dead_letter(
            message.message_id,
            message.body,
            message.attributes,
            message.sent_at,
            group=message.group,
            trace_header=message.trace_header,
        )
        return None if seen or letter.submission_id in self._submitted else letter

    async def all(self, maximum: int) -> list[DeadLetter]:
        """Hold up to `maximum` letters (in whole batches), and return them, the oldest first."""
        letters: list[DeadLetter] = []
        while len(letters) < maximum:
            batch = await self.receive()
            if not batch:
                break
            letters.extend(batch)
        return sorted(letters, key=lambda letter: letter.sent_at)[:maximum]

    async def redrive(self, letter: DeadLetter, *, force: bool = False) -> str:
        """Submit a letter that is held anew, remove it from the dead letters, and return its new submission id.

        Raises `UnreadableMessage` for one that is no task, unless `force` is set.
        """
        if self._queue is None:
            raise AssertionError("letters that are held for looking at only cannot be redriven")
        redelivery = redrive(letter, force=force)
        queue = self._low_queue if letter.is_low and self._low_queue is not None else self._queue
        self._submitted.add(redelivery.submission_id)
        try:
            await self._begin_record(letter, redelivery.submission_id)
            await queue.send(
                redelivery.body,
                redelivery.attributes,
                group=redelivery.group,
                trace_header=redelivery.trace_header,
            )
        except BaseException:
            if self._table is not None and letter.task_id is not None:
                with suppress(AwsFailure):
                    await self._table.withdraw(letter.task_id, redelivery.submission_id, owner_of(letter.attributes))
            raise
        await self._dead_letters.delete(self._handles[letter.id])
        del self._handles[letter.id]
        return redelivery.submission_id

    async def _begin_record(self, letter: DeadLetter, submission_id: str) -> None:
        """Have the new submission's record say that it is queued, before an agent can say more.

        Whoever asks after the task is told of it, unless something newer than the letter was submitted under its id.
        """
        if self._table is None:
            return
        previous = await self._table.get_submission(letter.submission_id)
        if previous is None:
            return
        now = self._now()
        record = TaskRecord(
            id=previous.id,
            submission_id=submission_id,
            status=Status.QUEUED,
            runtime=previous.runtime,
            tasktype=previous.tasktype,
            output_location=previous.output_location,
            created_at=now,
            updated_at=now,
            context=previous.context,
            caller=previous.caller,
            request_digest=previous.request_digest,
            webhook=previous.webhook,
            deadline=previous.deadline,
            priority=previous.priority,
        )
        await self._table.put(record, in_place_of=letter.submission_id)

    async def release(self) -> None:
        """Give back what is still held; what cannot be given back comes back by itself."""
        handles, self._handles = list(self._handles.values()), {}
        for start in range(0, len(handles), BATCH):
            with suppress(AwsFailure):
                await self._dead_letters.show(handles[start : start + BATCH])


@asynccontextmanager
async def held_letters(
    dead_letters: Queue,
    *,
    queue: Queue | None = None,
    low_queue: Queue | None = None,
    table: TaskTable | None = None,
    now: Callable[[], float],
    hold_seconds: int = _HOLD_SECONDS,
) -> AsyncIterator[HeldLetters]:
    """Hold letters for the body of the `async with`. Redriving needs `queue`; with `table`, records follow.

    Tasks of low priority go to `low_queue`, where there is one. A letter that is not given back, because this process
    has died, is hidden for `hold_seconds`.
    """
    held = HeldLetters(dead_letters, queue, low_queue, table, now, hold_seconds)
    try:
        yield held
    finally:
        await held.release()
