"""What a request for a task becomes, without I/O: a message, a record, and the reply to its sender."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.task_paths import task_url
from darkroom.errors import Fault
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.catalogue import Catalogue
from darkroom.policy.fairness import group_of
from darkroom.policy.object_keys import RESERVED_PREFIX, output_location
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.draft import Draft
from darkroom.tasks.idempotency import LONGEST_KEY, read_idempotency_key
from darkroom.tasks.message import (
    MAXIMUM_MESSAGE_BYTES,
    ROOM_FOR_COPIES_BYTES,
    SUBMISSION_ATTRIBUTE,
    PayloadPointer,
    attribute_bytes,
    encode_message,
    encode_pointer,
    identity_attributes,
    priority_attribute,
    request_digest,
)
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import OnDuplicate, Status

Version = Literal["v1alpha1", "v1alpha2"]
NO_KEY = Fault(
    "Idempotency-Key", f"must be a string of 1 to {LONGEST_KEY} printable ASCII characters, in quotation marks"
)


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A message text that goes to the bucket, because it is too large for the topic."""

    bucket: str
    key: str
    body: bytes


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted task: store the payload if there is one, keep the record, publish, and reply; in this order.

    The record comes before the message, so that the agent finds it however fast it is. `message` is the task's text,
    empty where it is the payload. `group` is the caller's share of the queue (see `darkroom.policy.fairness`).
    """

    record: TaskRecord
    message: str
    attributes: dict[str, str]
    reply: HttpReply
    group: str | None = None
    payload: Payload | None = None
    on_duplicate: OnDuplicate = OnDuplicate.NEW
    idempotency_key: str | None = None

    @property
    def text(self) -> str:
        """The text to publish."""
        if self.payload is None:
            return self.message
        return encode_pointer(PayloadPointer(bucket=self.payload.bucket, key=self.payload.key))

    @property
    def payload_size(self) -> int | None:
        """The size in bytes of the offloaded payload, which a Number attribute of the message tells."""
        return None if self.payload is None else len(self.payload.body)

    def as_submission(self, submission_id: str) -> Submission:
        """The same, done as another submission."""
        return replace(
            self,
            record=replace(self.record, submission_id=submission_id),
            attributes={**self.attributes, SUBMISSION_ATTRIBUTE: submission_id},
            payload=None if self.payload is None else replace(self.payload, key=_payload_key(submission_id)),
        )


class SubmissionPlanner:
    """Plans submissions to the runtimes of `catalogue`, whose pictures will lie in `bucket`."""

    def __init__(self, catalogue: Catalogue, bucket: str) -> None:
        self._catalogue = catalogue
        self._bucket = bucket

    def plan(self, version: Version, request: HttpRequest, submission_id: str, now: float) -> Submission | HttpReply:
        """Decide what a request for a task needs; `now` is in seconds since 1970."""
        if not exchange.is_json(request.content_type):
            return exchange.not_json(request.content_type)
        if not exchange.is_plain(request.content_encoding):
            return exchange.not_plain(request.content_encoding)
        if len(request.body) > exchange.MAXIMUM_BODY_BYTES:
            return exchange.body_too_large()
        key = None if request.idempotency_key is None else read_idempotency_key(request.idempotency_key)
        decode = v1alpha1.decode_request if version == "v1alpha1" else v1alpha2.decode_request
        draft = decode(request.body)
        verdict = admit(draft, self._catalogue, now)
        faults = [NO_KEY] if key is None and request.idempotency_key is not None else []
        if isinstance(verdict, Refused):
            faults.extend(verdict.faults)
        if isinstance(verdict, Refused) or faults:
            return exchange.error(400, "The request cannot be accepted as it is.", faults)
        location = output_location(self._bucket, verdict.task.prefix, verdict.task.id)
        reply = _accepted(draft, verdict, location, request.base_url)
        submission = self.plan_admitted(verdict, request.caller, submission_id, now, reply)
        return replace(submission, on_duplicate=draft.on_duplicate, idempotency_key=key)

    def plan_admitted(
        self, verdict: Admitted, caller: str, submission_id: str, now: float, reply: HttpReply
    ) -> Submission:
        """The submission of a task that is let in; `reply` is what its caller is told then."""
        task = verdict.task
        record = TaskRecord(
            id=task.id,
            submission_id=submission_id,
            status=Status.QUEUED,
            runtime=task.runtime,
            tasktype=task.kind,
            output_location=output_location(self._bucket, task.prefix, task.id),
            created_at=now,
            updated_at=now,
            context=task.context,
            caller=caller,
            webhook=task.webhook,
            request_digest=request_digest(task),
            deadline=task.deadline,
            priority=task.priority,
        )
        return self._with_message(verdict, record, reply)

    def _with_message(self, verdict: Admitted, record: TaskRecord, reply: HttpReply) -> Submission:
        text = encode_message(verdict.task)
        submission = Submission(
            record=record,
            message=text,
            attributes={
                **identity_attributes(verdict.task, record.caller),
                verdict.attribute: verdict.value,
                **priority_attribute(verdict.task.priority),
                SUBMISSION_ATTRIBUTE: record.submission_id,
            },
            reply=reply,
            group=group_of(record.caller),
        )
        body = text.encode()
        if len(body) + attribute_bytes(submission.attributes) <= MAXIMUM_MESSAGE_BYTES - ROOM_FOR_COPIES_BYTES:
            return submission
        payload = Payload(bucket=self._bucket, key=_payload_key(record.submission_id), body=body)
        return replace(submission, message="", payload=payload)


def _payload_key(submission_id: str) -> str:
    return f"{RESERVED_PREFIX}{submission_id}"


def _accepted(draft: Draft, verdict: Admitted, location: str, base_url: str) -> HttpReply:
    task = verdict.task
    status_url = task_url(base_url, task.id)
    cancel_url = f"{status_url}/cancel"
    if draft.checkpoint is not None:
        return HttpReply(
            status=200,
            body=v1alpha1.AcceptedReply(
                id_task=task.id,
                sd_model_checkpoint=draft.checkpoint,
                output_location=location,
                status_url=status_url,
                cancel_url=cancel_url,
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
            status_url=status_url,
            cancel_url=cancel_url,
            warnings=verdict.warnings,
        ),
    )
