"""What the front door decides, without I/O: from a request to a plan.

A plan is a reply, or what must be done before there is one: `Submission`, `Lookup` or `Cancellation`.
`darkroom.api.front_door` carries plans out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.errors import Fault
from darkroom.policy.admission import Admitted, Refused, admit, faults_of_id
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

_LONGEST_NUMBER = 9  # digits

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


class Lookup(msgspec.Struct, frozen=True):
    """Say where a task stands; `links` asks for URLs that a caller without AWS credentials can open.

    `first` is the number of the first picture for which there should be one, counted from 1.
    """

    task_id: str
    links: bool
    first: int = 1


class Cancellation(msgspec.Struct, frozen=True):
    """Ask the agent to stop a task, and say where it stands."""

    task_id: str


Plan = HttpReply | Submission | Lookup | Cancellation


class Service:
    """The front door of one deployment: its runtimes, and the bucket where pictures will lie."""

    def __init__(self, catalogue: Catalogue, bucket: str) -> None:
        self._catalogue = catalogue
        self._bucket = bucket

    def plan(self, request: HttpRequest, submission_id: str, now: float) -> Plan:
        """Decide what a request needs; `submission_id` is random, `now` in seconds since 1970 (UTC)."""
        match request.path.strip("/").split("/"):
            case ["v1alpha1" | "v1alpha2" as version]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                if not exchange.is_json(request.content_type):
                    return exchange.not_json(request.content_type)
                if not exchange.is_plain(request.content_encoding):
                    return exchange.not_plain(request.content_encoding)
                if len(request.body) > exchange.MAXIMUM_BODY_BYTES:
                    return exchange.body_too_large()
                return self._submit("v1alpha1" if version == "v1alpha1" else "v1alpha2", request, submission_id, now)
            case ["v1alpha2", "tasks", task_id] if task_id:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return _about(task_id, request.query)
            case ["v1alpha2", "tasks", task_id, "cancel"]:
                if request.method != "PUT":
                    return exchange.method_not_allowed(request.method, "PUT")
                return _about(task_id, None)
        return exchange.not_found(request.path)

    def _submit(self, version: Version, request: HttpRequest, submission_id: str, now: float) -> Plan:
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
        )
        return self._with_message(verdict, record, _accepted(draft, verdict, location), request.caller)

    def _with_message(self, verdict: Admitted, record: TaskRecord, reply: HttpReply, caller: str | None) -> Submission:
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


def _about(encoded_id: str, query: Mapping[str, str] | None) -> Plan:
    """The plan for a request about a task: to cancel it, or, with a query, to look it up."""
    faults = []
    try:
        task_id = unquote(encoded_id, errors="strict")
    except UnicodeDecodeError:
        task_id = ""
        faults.append(Fault("id", "is not percent-encoded UTF-8"))
    else:
        # What no task can be called is not asked for: AWS itself refuses the longest.
        faults.extend(faults_of_id(task_id, "id"))
    links, first = ("false", "1") if query is None else (query.get("links", "false").lower(), query.get("from", "1"))
    if links not in ("true", "false"):
        faults.append(Fault("links", f"must be true or false, not {links[:100]!r}"))
    if not (first.isascii() and first.isdecimal() and len(first) <= _LONGEST_NUMBER and int(first) > 0):
        faults.append(Fault("from", f"must be the number of a picture, counted from 1, not {first[:100]!r}"))
    if faults:
        return exchange.error(400, "The request cannot be accepted as it is.", faults)
    return Cancellation(task_id) if query is None else Lookup(task_id, links == "true", int(first))
