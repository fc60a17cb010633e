"""What the front door asks of AWS; `darkroom.aws` has both implementations.

The gateway's (aiobotocore) really wait. The Lambda function's (boto3) are coroutines that never suspend, because a
Lambda instance handles one request at a time and has no use for an event loop: so both doors share one service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from darkroom.policy.dead_letters import DeadLetter
from darkroom.tasks.heartbeat import Heartbeat
from darkroom.tasks.idempotency import Claim
from darkroom.tasks.progress import Progress
from darkroom.tasks.queue_depth import QueueDepth
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task_list import ListedTasks
from darkroom.tasks.usage import DayUsage
from darkroom.tasks.webhook import WebhookDelivery


class Publisher(Protocol):
    """The input topic."""

    async def publish(
        self, text: str, attributes: Mapping[str, str], payload_size: int | None = None, group: str | None = None
    ) -> str:
        """Publish `text` and return the message's id.

        `payload_size` is that of a payload which `text` points to; `group` is whose share of a fair queue it takes.
        """
        ...


class PayloadStore(Protocol):
    """The output bucket, which also holds offloaded payloads."""

    @property
    def name(self) -> str:
        """The bucket's name."""
        ...

    async def put(self, key: str, body: bytes, content_type: str, *, owner: str = "") -> None:
        """Write an object, which is `owner`'s then; "" is nobody."""
        ...

    async def find(self, key: str, *, maximum_bytes: int | None = None) -> bytes | None:
        """Read an object; None where there is none. Raises `AwsRefused` for one of more than `maximum_bytes`."""
        ...

    async def presigned_upload(
        self, key: str, size_bytes: int, content_type: str, seconds: int, owner: str = ""
    ) -> str:
        """Return a URL to which anybody can write this object for `seconds`, of just this size and type.

        Whoever does must send the headers that say whose it is (`darkroom.policy.object_owners`).
        """
        ...

    async def presigned_url(self, key: str, seconds: int) -> str:
        """Return a URL with which anybody can read the object for `seconds`."""
        ...


class Records(Protocol):
    """The table of task records."""

    async def put(self, record: TaskRecord) -> None:
        """Write the record of a new submission, which is then the one that its task's id stands for."""
        ...

    async def put_if_new(self, record: TaskRecord) -> TaskRecord | None:
        """Write the record of a submission whose id its caller has not used; else return what stands under it."""
        ...

    async def get(self, task_id: str, caller: str) -> TaskRecord | None:
        """Read the record of the latest submission that `caller` has made under this id."""
        ...

    async def get_submissions(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """Read those of these records that are there, by their submissions' ids; they may be a little old."""
        ...

    async def get_submission(self, submission_id: str) -> TaskRecord | None:
        """Read the record of a submission."""
        ...

    async def withdraw(self, task_id: str, submission_id: str, caller: str) -> None:
        """Have the caller's id stand for the submission before this one again, if it stands for this one."""
        ...

    async def request_cancel(self, task_id: str, caller: str, now: float) -> TaskRecord | None:
        """Ask the agent to stop the caller's latest submission of this id, and return its record.

        One that has ended stays so.
        """
        ...


class TaskLists(Protocol):
    """The lists of callers' tasks."""

    async def newest(
        self, callers: Sequence[str], *, before: str | None, since: float | None, most: int
    ) -> ListedTasks:
        """The newest tasks of `callers` together, of those that stand before a position; it looks at `most` of them.

        `since` is when the oldest was created, in seconds since 1970. What was withdrawn is left out.
        """
        ...


class ProgressReports(Protocol):
    """How far tasks are."""

    async def read(self, submission_ids: Sequence[str]) -> dict[str, Progress]:
        """How far these submissions are, by their ids; of those that have said nothing there is nothing."""
        ...


class QueueDepths(Protocol):
    """How many tasks are in the runtimes' queues."""

    async def read(self, runtime: str) -> QueueDepth | None:
        """How many messages the queue of a runtime holds; None where it is not known."""
        ...


class Heartbeats(Protocol):
    """What agents say of themselves."""

    async def read(self, runtime: str) -> list[Heartbeat]:
        """What the agents of a runtime said last, also of those that are gone since."""
        ...


class UsageRecords(Protocol):
    """What callers have used."""

    async def read(self, callers: Sequence[str], *, first_day: str, last_day: str) -> list[DayUsage]:
        """What `callers` have used from one day to another, both included: by caller, day and runtime, in order."""
        ...


class Counts(Protocol):
    """How many tasks each caller has submitted."""

    async def count_task(self, caller: str, month: str, most: int) -> bool:
        """Count one more task of `caller` in `month` (as in 2026-11), or return False where it has had `most`."""
        ...

    async def uncount_task(self, caller: str, month: str) -> None:
        """Count one task less: it was not accepted."""
        ...


class Keys(Protocol):
    """The idempotency keys that callers have used. Times are seconds since 1970."""

    async def claim(self, caller: str, key: str, digest: str, submission_id: str, now: float) -> Claim:
        """Claim a caller's key for the request of this digest; done as `submission_id` where nobody claimed it."""
        ...

    async def answer(self, caller: str, key: str, submission_id: str, body: str) -> None:
        """Keep what was answered."""
        ...

    async def give_up(self, caller: str, key: str, submission_id: str) -> None:
        """Let the next one try at once."""
        ...


class Deliveries(Protocol):
    """What became of webhooks."""

    async def page(
        self, callers: Sequence[str], limit: int, before: str | None = None
    ) -> tuple[list[WebhookDelivery], str | None]:
        """Read the deliveries of `callers` together, the newest first, and what to ask for the next ones with."""
        ...

    async def get(self, delivery_id: str) -> WebhookDelivery | None:
        """Read a delivery, whosever it is."""
        ...

    async def replace(self, before: WebhookDelivery, after: WebhookDelivery) -> bool:
        """Write `after` in place of `before`; False where it is no longer so."""
        ...


class SenderQueue(Protocol):
    """The queue of the sender of webhooks."""

    async def send(self, body: str, attributes: Mapping[str, str]) -> None:
        """Ask the sender for something."""
        ...


class HeldLetters(Protocol):
    """Dead letters that are held for a while, to be looked at or put back."""

    async def receive(self) -> list[DeadLetter]:
        """Hold some more letters. None are left when the list is empty."""
        ...

    async def all(self, maximum: int) -> list[DeadLetter]:
        """Hold up to `maximum` letters, and return them."""
        ...

    async def redrive(self, letter: DeadLetter) -> str:
        """Submit a letter anew, remove it, and return its new submission id. Raises `UnreadableMessage`."""
        ...


class DeadLetters(Protocol):
    """The dead letters of the runtimes."""

    async def count(self, runtime: str) -> int | None:
        """About how many a runtime has; None where its queue is not known, or has none."""
        ...

    def held(self, runtime: str) -> AbstractAsyncContextManager[HeldLetters]:
        """Hold letters of a runtime for the body of the `async with`; what was not put back is given back then."""
        ...


class Ports(msgspec.Struct, frozen=True):
    """Everything together. Every method may raise `AwsFailure`.

    All but `topic` and `bucket` are None in a deployment that has no task table; `webhook_queue`, in one that sends no
    webhooks, and `depths` and `dead_letters`, where the front door was not told of the queues.
    """

    topic: Publisher
    bucket: PayloadStore
    records: Records | None = None
    counts: Counts | None = None
    lists: TaskLists | None = None
    progress: ProgressReports | None = None
    heartbeats: Heartbeats | None = None
    depths: QueueDepths | None = None
    dead_letters: DeadLetters | None = None
    usage: UsageRecords | None = None
    keys: Keys | None = None
    deliveries: Deliveries | None = None
    webhook_queue: SenderQueue | None = None
