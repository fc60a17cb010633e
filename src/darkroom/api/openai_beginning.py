"""How a request of OpenAI's API gets its task: it submits one, or joins one that the same request began before."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.openai_waiting import Place
from darkroom.api.ports import Ports, Records
from darkroom.api.submission import NO_KEY, SubmissionPlanner
from darkroom.api.submitting import Submitting
from darkroom.logs import log
from darkroom.openai.client_headers import ClientHeaders
from darkroom.openai.joining import Begin, Join, join_or_begin
from darkroom.openai.request import ImageRequest, Kind
from darkroom.openai.translation import PREFIX, Made, Translation
from darkroom.policy.admission import Admitted
from darkroom.tasks.idempotency import read_idempotency_key
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import object_or_empty

# How much earlier than its client a door gives up, so that the client hears which task goes on.
_AHEAD_SECONDS = 2.0


class Waited(msgspec.Struct, frozen=True):
    """A task that somebody waits for, in a place of its own, and how the reply is wanted.

    `until` is by the monotonic clock, and `seconds` from the beginning. Nothing of the request's pictures is in it.
    """

    kind: Kind
    stream: bool
    response_format: str | None
    place: Place
    record: TaskRecord
    made: Made
    until: float
    seconds: float


class Beginning:
    """Begins tasks, or finds the one to join. `patience_seconds` is the door's."""

    def __init__(
        self,
        planner: SubmissionPlanner,
        submitting: Submitting,
        ports: Ports,
        *,
        clock: Callable[[], float],
        new_submission_id: Callable[[], str],
        patience_seconds: float,
    ) -> None:
        self._planner = planner
        self._submitting = submitting
        self._ports = ports
        self._clock = clock
        self._new_submission_id = new_submission_id
        self._patience_seconds = patience_seconds

    async def begin(
        self,
        http: HttpRequest,
        client: ClientHeaders,
        request: ImageRequest,
        translation: Translation,
        verdict: Admitted,
        records: Records,
        place: Place,
        began: float,
    ) -> Waited | HttpReply:
        """Submit the task, or find the one to join."""
        # First, so that little time goes by between the look at what there is and the record of what is new.
        for upload in translation.uploads:
            await self._ports.bucket.put(upload.key, upload.body, upload.content_type, owner=http.caller)
        patience = _patience(self._patience_seconds, client.patience_seconds)

        def waited(record: TaskRecord, made: Made) -> Waited:
            wanted = request.kind, request.stream, request.response_format
            return Waited(*wanted, place, record, made, began + patience, patience)

        now, task_id = self._clock(), verdict.task.id
        latest = await records.get(task_id, http.caller)
        joined_made = None if latest is None else _made_of(latest)
        decision: Join | Begin = Begin()
        if http.idempotency_key is None:  # a client that says which request it is need not be guessed at
            decision = join_or_begin(
                task_id,
                http.caller,
                None if joined_made is None else latest,  # a task of the caller's own under such an id is none of ours
                retries=client.retries,
                now=now,
                patience_seconds=self._patience_seconds,
            )
        if isinstance(decision, Join) and joined_made is not None:
            log(logging.INFO, "openai.joined", task_id, caller=http.caller, retries=client.retries)
            return waited(decision.record, joined_made)
        submission_id = (None if isinstance(decision, Join) else decision.submission_id) or self._new_submission_id()
        accepted = HttpReply(status=200, body=None)
        submission = self._planner.plan_admitted(verdict, http.caller, submission_id, now, accepted)
        if http.idempotency_key is not None:
            key = read_idempotency_key(http.idempotency_key)
            if key is None:
                return exchange.error(400, "The request cannot be accepted as it is.", [NO_KEY])
            digested = msgspec.structs.replace(submission.record, request_digest=request.digest())
            submission = msgspec.structs.replace(submission, record=digested, idempotency_key=key)
        reply = await self._submitting.submit(submission)
        if reply.status != 200:
            return reply
        record: TaskRecord | None = submission.record
        if http.idempotency_key is not None:  # the task that was begun with the key, now or before
            record = await records.get(task_id, http.caller)
        made = None if record is None else _made_of(record)
        if record is None or made is None:
            return exchange.error(404, f"There is no task {task_id!r}, or it ended more than 14 days ago.")
        return waited(record, made)


def _patience(limit: float, clients: float | None) -> float:
    """How long to wait in seconds: a little shorter than the client does."""
    return limit if clients is None else min(limit, max(clients - _AHEAD_SECONDS, clients / 2))


def _made_of(record: TaskRecord) -> Made | None:
    """What was kept of the request in the context of a task of this API."""
    try:
        return msgspec.convert(object_or_empty(record.context).get(PREFIX), type=Made)
    except msgspec.ValidationError:
        return None
