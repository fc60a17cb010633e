"""`POST /v1alpha1` and `/v1alpha2`: from a request to a message on the input topic."""

from __future__ import annotations

import logging
from typing import Literal

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Counts, Ports, Records
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.callers import Callers, month_of, next_month
from darkroom.policy.catalogue import Catalogue
from darkroom.policy.fairness import group_of
from darkroom.policy.object_keys import RESERVED_PREFIX, output_location
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.draft import Draft
from darkroom.tasks.message import (
    MAXIMUM_MESSAGE_BYTES,
    ROOM_FOR_COPIES_BYTES,
    SUBMISSION_ATTRIBUTE,
    PayloadPointer,
    attribute_bytes,
    encode_message,
    encode_pointer,
    identity_attributes,
)
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

Version = Literal["v1alpha1", "v1alpha2"]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A message text that goes to the bucket, because it is too large for the topic."""

    key: str
    body: bytes


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted task: store the payload if there is one, keep the record, publish, and reply; in this order.

    The record comes before the message, so that the agent finds it however fast it is. `group` is the caller's share of
    the queue (see `darkroom.policy.fairness`).
    """

    record: TaskRecord
    text: str
    attributes: dict[str, str]
    reply: HttpReply
    group: str | None = None
    payload: Payload | None = None

    @property
    def payload_size(self) -> int | None:
        """The size in bytes of the offloaded payload, which a Number attribute of the message tells."""
        return None if self.payload is None else len(self.payload.body)


class SubmissionPlanner:
    """Plans submissions to the runtimes of `catalogue`, whose pictures will lie in `bucket`."""

    def __init__(self, catalogue: Catalogue, bucket: str) -> None:
        self._catalogue = catalogue
        self._bucket = bucket

    def plan(self, version: Version, request: HttpRequest, submission_id: str, now: float) -> Submission | HttpReply:
        """Decide what a request for a task needs."""
        if not exchange.is_json(request.content_type):
            return exchange.not_json(request.content_type)
        if not exchange.is_plain(request.content_encoding):
            return exchange.not_plain(request.content_encoding)
        if len(request.body) > exchange.MAXIMUM_BODY_BYTES:
            return exchange.body_too_large()
        decode = v1alpha1.decode_request if version == "v1alpha1" else v1alpha2.decode_request
        draft = decode(request.body)
        verdict = admit(draft, self._catalogue)
        if isinstance(verdict, Refused):
            return exchange.error(400, "The request cannot be accepted as it is.", verdict.faults)
        task = verdict.task
        location = output_location(self._bucket, task.prefix, task.id)
        record = TaskRecord(
            id=task.id,
            submission_id=submission_id,
            status=Status.QUEUED,
            runtime=task.runtime,
            tasktype=task.kind,
            output_location=location,
            created_at=now,
            updated_at=now,
            context=task.context,
            caller=request.caller,
            webhook=task.webhook,
        )
        return self._with_message(verdict, record, _accepted(draft, verdict, location), request.caller)

    def _with_message(self, verdict: Admitted, record: TaskRecord, reply: HttpReply, caller: str) -> Submission:
        text, group = encode_message(verdict.task), group_of(caller)
        attributes = {
            **identity_attributes(verdict.task, caller),
            verdict.attribute: verdict.value,
            SUBMISSION_ATTRIBUTE: record.submission_id,
        }
        body = text.encode()
        if len(body) + attribute_bytes(attributes) <= MAXIMUM_MESSAGE_BYTES - ROOM_FOR_COPIES_BYTES:
            return Submission(record=record, text=text, attributes=attributes, reply=reply, group=group)
        payload = Payload(key=f"{RESERVED_PREFIX}{record.submission_id}", body=body)
        pointer = encode_pointer(PayloadPointer(bucket=self._bucket, key=payload.key))
        return Submission(record=record, text=pointer, attributes=attributes, reply=reply, group=group, payload=payload)


def _accepted(draft: Draft, verdict: Admitted, location: str) -> HttpReply:
    task = verdict.task
    if draft.checkpoint is not None:
        return HttpReply(
            status=200,
            body=v1alpha1.AcceptedReply(
                id_task=task.id,
                sd_model_checkpoint=draft.checkpoint,
                output_location=location,
                warnings=verdict.warnings,
            ),
        )
    return HttpReply(
        status=200,
        body=v1alpha2.AcceptedReply(
            id_task=task.id,
            id=task.id,
            runtime=task.runtime,
            output_location=location,
            warnings=verdict.warnings,
        ),
    )


class Submitting:
    """Carries submissions out. `submit` may raise an `AwsFailure`; nothing was accepted then."""

    def __init__(self, ports: Ports, callers: Callers) -> None:
        self._ports = ports
        self._callers = callers

    async def submit(self, plan: Submission) -> HttpReply:
        """Count the task where its caller has a limit for a month, keep its record, and publish it."""
        caller, counts = plan.record.caller, self._ports.counts
        most = self._callers.monthly_tasks(caller)
        if most is None or counts is None:
            return await self._publish(plan)
        now = plan.record.created_at
        month = month_of(now)
        if not await counts.count_task(caller, month, most):
            log(logging.WARNING, "front_door.month_used_up", f"{most} tasks of {month}", caller=caller)
            return exchange.month_used_up(most, month, next_month(now))
        try:
            return await self._publish(plan)
        except AwsFailure:
            await self._uncount(counts, caller, month)
            raise

    async def _uncount(self, counts: Counts, caller: str, month: str) -> None:
        """Give back what a task was counted for that was not accepted."""
        try:
            await counts.uncount_task(caller, month)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.uncount_failed", str(failure), caller=caller)

    async def _publish(self, plan: Submission) -> HttpReply:
        ports, record = self._ports, plan.record
        if plan.payload is not None:
            await ports.bucket.put(plan.payload.key, plan.payload.body, exchange.JSON)
        try:
            if ports.records is not None:
                await ports.records.put(record)
            await ports.topic.publish(plan.text, plan.attributes, plan.payload_size, plan.group)
        except AwsFailure:
            if ports.records is not None:
                await self._withdraw(ports.records, record)
            raise
        return plan.reply

    async def _withdraw(self, records: Records, record: TaskRecord) -> None:
        """Take back the record of a task that was not accepted, or somebody would wait for it.

        The record of an earlier submission under the same id is the task's again.
        """
        try:
            await records.withdraw(record.id, record.submission_id, record.caller)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.withdraw_failed", str(failure), id=record.id)
