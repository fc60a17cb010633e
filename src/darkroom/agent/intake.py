"""From a message to a job: unwrap it, fetch its payload, read it, and judge it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom.agent.budget import Holding, JobMemory, MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.aws.bucket import Bucket
from darkroom.aws.errors import NotFound, TooLarge
from darkroom.aws.queue import ReceivedMessage
from darkroom.errors import AwsFailure, AwsUnavailable, InvalidRequest, UnreadableMessage
from darkroom.logs import logger
from darkroom.policy.admission import Refused, names_for_objects, readmit
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.policy.object_keys import RESERVED_PREFIX, TaskObjects
from darkroom.policy.outcomes import PAYLOAD_PATIENCE_SECONDS, Tries
from darkroom.tasks.draft import Draft
from darkroom.tasks.message import (
    PREFIX_ATTRIBUTE,
    SIZE_ATTRIBUTE,
    TASK_ATTRIBUTE,
    Delivery,
    PayloadPointer,
    audience_of,
    decode_message,
    first_sent_at,
    open_envelope,
    owner_of,
    submission_id_of,
    unwrap,
)

# A request takes its size twice: as the values that were read, and as the body that is written for the runtime.
_VALUES = 2
# SQS itself takes 1 MiB; only an offloaded payload can be larger, and the API lets 6 MB in.
MAXIMUM_PAYLOAD_BYTES = 16 * 1024 * 1024
# Amazon S3 delivers that in a second or two; what takes longer is begun anew, here or elsewhere.
_PAYLOAD_SECONDS = 20.0


@dataclass(frozen=True)
class Unreadable:
    """A message that is not a task for this agent, and what could be read of it.

    `objects` are there when id and prefix are known and fit for keys. `submitted_at` is in seconds since 1970. `caller`
    is whose task it is, "" is nobody; `audience` are the attributes that say for whom its notification is.
    """

    error: UnreadableMessage
    submission_id: str
    submitted_at: float
    task_id: str | None = None
    objects: TaskObjects | None = None
    context: Any = None
    caller: str = ""
    audience: Mapping[str, str] = field(default_factory=dict)


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

        Raises an `AwsFailure` when its payload cannot be fetched just now.
        """
        memory = memory or MemoryBudget(sys.maxsize).for_job()
        message = lease.message
        received_at = self._clock.monotonic()
        # What is known of it before anything of its text is.
        _, attributes, fallback_id = open_envelope(message.body, message.attributes, message.message_id)
        submission_id = submission_id_of(attributes, fallback_id, message.message_id)
        delivery = Delivery(payload="", submission_id=submission_id, attributes=attributes)
        try:
            delivery = unwrap(message.body, message.attributes, message.message_id)
            payload = await self._payload(delivery, message, memory.payload)
            return self._judge(lease, delivery, payload, memory, received_at)
        except UnreadableMessage as error:
            return self._unreadable(error, delivery, message)
        except AwsFailure:
            raise
        except Exception as error:
            # Raised on, it would be raised at every receive, until SQS sets the message aside in silence.
            logger.exception("a fault in Darkroom: the message %s cannot be read", message.message_id)
            reason = f"the message cannot be read, by a fault in Darkroom: {type(error).__name__}: {error}"
            return self._unreadable(UnreadableMessage(reason), delivery, message)

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
            return self._unreadable(reason, delivery, message, draft)
        return Job(
            task=task,
            delivery=delivery,
            lease=lease,
            objects=TaskObjects.of(task, delivery.submission_id, self._bucket.name, owner_of(delivery.attributes)),
            tries=self.tries(message),
            memory=memory,
            received_at=received_at,
            submitted_at=_submitted_at(message),
        )

    def _unreadable(
        self, error: UnreadableMessage, delivery: Delivery, message: ReceivedMessage, draft: Draft | None = None
    ) -> Unreadable:
        """Say what is known of a message that is no task: from its text where it has one, else from its attributes."""
        draft = draft or Draft(paths={})
        task_id = draft.id or delivery.attributes.get(TASK_ATTRIBUTE)
        names = names_for_objects(task_id, draft.prefix or delivery.attributes.get(PREFIX_ATTRIBUTE))
        owner, objects = owner_of(delivery.attributes), None
        if names is not None:
            objects = TaskObjects.named(*names, delivery.submission_id, self._bucket.name, owner)
        context = None if draft.id is None else draft.context
        return Unreadable(
            error,
            delivery.submission_id,
            _submitted_at(message),
            task_id,
            objects,
            context,
            owner,
            audience_of(delivery.attributes),
        )

    async def _payload(self, delivery: Delivery, message: ReceivedMessage, memory: Holding) -> str | bytes:
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
        except (NotFound, TooLarge) as error:
            raise UnreadableMessage(f"the message's payload cannot be read: {error}") from error
        except AwsFailure as error:
            # Expired credentials, a clock that is wrong, a right that is missing: all of that is mended one day.
            if self._clock.now() - _submitted_at(message) < PAYLOAD_PATIENCE_SECONDS:
                raise
            raise UnreadableMessage(f"the message's payload could not be read for a day: {error}") from error


def _submitted_at(message: ReceivedMessage) -> float:
    return first_sent_at(message.attributes, message.sent_at)


def _announced_bytes(delivery: Delivery) -> int:
    """How large the publisher says that the payload is; the most that one may be where that is no sensible number."""
    told = delivery.attributes.get(SIZE_ATTRIBUTE, "")
    size = int(told) if told.isascii() and told.isdigit() and len(told) < 12 else MAXIMUM_PAYLOAD_BYTES
    return min(size, MAXIMUM_PAYLOAD_BYTES)
