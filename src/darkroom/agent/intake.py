"""From a message to a job: unwrap it, fetch its payload, read it, and judge it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from darkroom.agent.budget import Holding, JobMemory, MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.aws.bucket import Bucket
from darkroom.aws.queue import ReceivedMessage
from darkroom.errors import AwsFailure, AwsRefused, AwsUnavailable, InvalidRequest, UnreadableMessage
from darkroom.logs import logger
from darkroom.policy.admission import Refused, readmit
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.policy.object_keys import RESERVED_PREFIX, TaskObjects
from darkroom.policy.outcomes import Tries
from darkroom.tasks.message import SIZE_ATTRIBUTE, Delivery, PayloadPointer, decode_message, first_sent_at, unwrap

# A request takes its size twice: as the values that were read, and as the body that is written for the runtime.
_VALUES = 2
# SQS itself takes 1 MiB; only an offloaded payload can be larger, and the API lets 6 MB in.
MAXIMUM_PAYLOAD_BYTES = 16 * 1024 * 1024
# Amazon S3 delivers that in a second or two; what takes longer is begun anew, here or elsewhere.
_PAYLOAD_SECONDS = 20.0


@dataclass(frozen=True)
class Unreadable:
    """A message that is not a task for this agent. `task_id` and `context` are what could be read of it."""

    error: UnreadableMessage
    submission_id: str
    task_id: str | None = None
    context: Any = None


class Intake:
    """Reads the messages of one runtime's queue."""

    def __init__(self, spec: RuntimeSpec, bucket: Bucket, maximum_receives: int | None, clock: Clock) -> None:
        self._spec = spec
        self._bucket = bucket
        self._maximum_receives = maximum_receives
        self._clock = clock

    def tries(self, message: ReceivedMessage) -> Tries:
        """How often this message was tried, and may be."""
        return Tries(received=message.received, maximum_receives=self._maximum_receives)

    async def read(self, lease: Lease, memory: JobMemory | None = None) -> Job | Unreadable:
        """Read the message that `lease` holds, into `memory`; where none is given, nobody counts.

        Raises `AwsUnavailable` when its payload cannot be fetched just now.
        """
        memory = memory or MemoryBudget(sys.maxsize).for_job()
        message = lease.message
        received_at = self._clock.monotonic()
        submission_id = message.message_id
        try:
            delivery = unwrap(message.body, message.attributes, message.message_id)
            submission_id = delivery.submission_id
            text = await self._payload(delivery, memory.payload)
            return self._judge(lease, delivery, text, memory, received_at)
        except UnreadableMessage as error:
            return Unreadable(error, submission_id)
        except AwsFailure:
            raise
        except Exception as error:
            # Raised on, it would be raised at every receive, until SQS sets the message aside in silence.
            logger.exception("a fault in Darkroom: the message %s cannot be read", message.message_id)
            reason = f"the message cannot be read, by a fault in Darkroom: {type(error).__name__}: {error}"
            return Unreadable(UnreadableMessage(reason), submission_id)

    def _judge(
        self, lease: Lease, delivery: Delivery, text: str | bytes, memory: JobMemory, received_at: float
    ) -> Job | Unreadable:
        message = lease.message
        draft = decode_message(text)
        task = readmit(draft, self._spec)
        memory.payload.resize(_VALUES * len(text))
        del text
        if isinstance(task, Refused):
            reason = UnreadableMessage(f"the message is not a task: {InvalidRequest(task.faults)}")
            return Unreadable(reason, delivery.submission_id, draft.id, draft.context)
        return Job(
            task=task,
            delivery=delivery,
            lease=lease,
            objects=TaskObjects.of(task, delivery.submission_id, self._bucket.name),
            tries=self.tries(message),
            memory=memory,
            received_at=received_at,
            submitted_at=first_sent_at(message.attributes, message.sent_at),
        )

    async def _payload(self, delivery: Delivery, memory: Holding) -> str | bytes:
        pointer = delivery.payload
        if not isinstance(pointer, PayloadPointer):
            return pointer
        # Whoever may publish could otherwise have this agent read whatever it has the right to.
        if pointer.bucket != self._bucket.name or not pointer.key.startswith(RESERVED_PREFIX):
            where = f"s3://{pointer.bucket}/{pointer.key}"
            allowed = f"s3://{self._bucket.name}/{RESERVED_PREFIX}"
            raise UnreadableMessage(f"the message's payload lies at {where}; only payloads below {allowed} are read")
        # The text, what is read from it, and what is written for the runtime: each is about as large.
        await memory.wait_for(min((_VALUES + 1) * _announced_bytes(delivery), memory.maximum_bytes))
        try:
            async with asyncio.timeout(_PAYLOAD_SECONDS):
                return await self._bucket.get(pointer.key, maximum_bytes=MAXIMUM_PAYLOAD_BYTES)
        except TimeoutError:
            raise AwsUnavailable(f"the message's payload did not come within {_PAYLOAD_SECONDS:g} s") from None
        except AwsRefused as error:
            raise UnreadableMessage(f"the message's payload cannot be read: {error}") from error


def _announced_bytes(delivery: Delivery) -> int:
    """How large the publisher says that the payload is; the most that one may be where that is no sensible number."""
    told = delivery.attributes.get(SIZE_ATTRIBUTE, "")
    size = int(told) if told.isascii() and told.isdigit() and len(told) < 12 else MAXIMUM_PAYLOAD_BYTES
    return min(size, MAXIMUM_PAYLOAD_BYTES)
