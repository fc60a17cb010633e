"""OpenAI's Images API at both doors: a request becomes a task, and its reply waits for the task's end.

`darkroom.openai` translates; this is what has to be done in between. A door tells how long a reply may take and how
large it may be. Whoever cannot wait that long is told which task goes on, and joins it by sending the request again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.openai_beginning import Beginning, Waited
from darkroom.api.openai_errors import as_openai, reply_of
from darkroom.api.openai_pictures import Pictures
from darkroom.api.openai_waiting import Pace, Pause, Place, Places, looks
from darkroom.api.ports import Ports, Records
from darkroom.api.submission import SubmissionPlanner
from darkroom.api.submitting import Submitting
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.openai.form import is_form
from darkroom.openai.models import ModelList, Models, Target
from darkroom.openai.replies import (
    Failure,
    ImagesReply,
    comment,
    error_event,
    events,
    failed_task,
    failure,
    not_yet,
    refused,
)
from darkroom.openai.request import BadRequest, ImageRequest, Kind, read_edit, read_generation
from darkroom.openai.translation import Translation, translate
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

EVENT_STREAM = "text/event-stream"
_COMMENT_SECONDS = 10.0
_BUSY_SECONDS = 5


class DoorLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a door can do: how long and how large a reply may be, how many wait at once, whether replies are streams."""

    patience_seconds: float
    reply_bytes: int
    most_waiting: int
    streams: bool
    pace: Pace = Pace()


class Stream(msgspec.Struct, frozen=True):
    """A reply that is told as it happens. `close` is to be called when nobody listens any more, begun or not."""

    events: AsyncIterator[bytes]
    close: Callable[[], None]


class OpenAiDoor:
    """Answers requests. `clock` tells seconds since 1970, `monotonic` seconds that only grow; `new_seed` is random.

    `pause_in_stream` is needed where replies are streams: who sends one hears by itself that its client has gone.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        models: Models,
        ports: Ports,
        limits: DoorLimits,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        new_submission_id: Callable[[], str],
        new_seed: Callable[[], int],
        callers: Callers,
        pause_in_stream: Pause | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._models = models
        self._ports = ports
        self._limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self._new_seed = new_seed
        self._beginning = Beginning(
            SubmissionPlanner(catalogue, ports.bucket.name),
            Submitting(ports, callers),
            ports,
            clock=clock,
            new_submission_id=new_submission_id,
            patience_seconds=limits.patience_seconds,
        )
        self._pictures = Pictures(ports.bucket, limits.reply_bytes, clock)
        self._pause_in_stream = pause_in_stream or _no_stream
        self.places = Places(limits.most_waiting)

    async def answer(self, request: HttpRequest, pause: Pause) -> HttpReply | Stream:
        """Do what `request` asks for; `pause` is how its door waits. Neither key nor prompt is logged."""
        try:
            answer = await self._answer(request, pause)
        except AwsFailure as failure:
            log(logging.ERROR, "openai.aws_failed", str(failure), error_type=failure.type)
            answer = exchange.try_again() if failure.retryable else exchange.out_of_order()
        return answer if isinstance(answer, Stream) else as_openai(answer)

    async def _answer(self, request: HttpRequest, pause: Pause) -> HttpReply | Stream:
        match request.path.strip("/").split("/"):
            case ["v1", "models"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return HttpReply(status=200, body=ModelList(self._models.listed))
            case ["v1", "models", *id_]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return self._model(unquote("/".join(id_), errors="replace"))
            case ["v1", "images", "generations" | "edits" as route]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                kind: Kind = "generate" if route == "generations" else "edit"
                return self._unreadable(kind, request) or await self._images(kind, request, pause)
        return exchange.not_found(request.path)

    def _model(self, id_: str) -> HttpReply:
        model = self._models.find(id_)
        if model is None:
            return reply_of(failure(404, f"There is no model {id_[:100]!r}.", code="model_not_found"))
        return HttpReply(status=200, body=model)

    def _unreadable(self, kind: Kind, request: HttpRequest) -> HttpReply | None:
        if not exchange.is_plain(request.content_encoding):
            return exchange.not_plain(request.content_encoding)
        if len(request.body) > exchange.MAXIMUM_BODY_BYTES:
            return exchange.body_too_large()
        if kind == "generate" and not exchange.is_json(request.content_type):
            return exchange.not_json(request.content_type)
        if kind == "edit" and not is_form(request.content_type):
            return exchange.error(415, "An edit is sent as a form: its Content-Type must be multipart/form-data.")
        return None

    async def _images(self, kind: Kind, http: HttpRequest, pause: Pause) -> HttpReply | Stream:
        began = self._monotonic()
        request = read_generation(http.body) if kind == "generate" else read_edit(http.content_type, http.body)
        plan = self._plan(request)
        if isinstance(plan, BadRequest) or isinstance(request, BadRequest):
            return reply_of(refused(plan if isinstance(plan, BadRequest) else request))  # type: ignore[arg-type]
        records = self._ports.records
        if records is None:
            return exchange.error(404, "This deployment keeps no records of tasks, which this API needs.")
        place = self.places.take(http.caller)
        if place is None:
            text = "As many requests wait for pictures as this front door lets wait: send it again in a little while."
            headers = {"Retry-After": str(_BUSY_SECONDS)}
            return reply_of(failure(503, text, code="too_many_waiting", headers=headers))
        is_handed_on = False
        try:
            begun = await self._beginning.begin(http, request, *plan, records, began)
            if isinstance(begun, HttpReply):
                return begun
            if request.stream and self._limits.streams:
                is_handed_on = True
                return Stream(self._told(begun, records, place), place.give_back)
            return await self._waited_for(begun, records, pause)
        finally:
            if not is_handed_on:
                place.give_back()

    def _plan(self, request: ImageRequest | BadRequest) -> tuple[Translation, Admitted] | BadRequest:
        if isinstance(request, BadRequest):
            return request
        target = self._models.choose(request.model, request.kind)
        if not isinstance(target, Target):
            return BadRequest((target,))
        translation = translate(request, target, self._ports.bucket.name, self._new_seed)
        if isinstance(translation, BadRequest):
            return translation
        verdict = admit(translation.draft, self._catalogue, self._clock())
        return BadRequest(verdict.faults) if isinstance(verdict, Refused) else (translation, verdict)

    async def _waited_for(self, waited: Waited, records: Records, pause: Pause) -> HttpReply:
        record = waited.record
        async for look in looks(record, records, waited.until, self._monotonic, pause, self._limits.pace):
            record = look
        outcome = await self._outcome(waited, record)
        headers = {"x-request-id": record.submission_id}
        if isinstance(outcome, Failure):
            reply = reply_of(outcome)
            return msgspec.structs.replace(reply, headers={**reply.headers, **headers})
        if waited.request.stream:  # at a door whose replies come in one piece
            told = b"".join(events(waited.request.kind, outcome))
            return HttpReply(status=200, body=told, media_type=EVENT_STREAM, headers=headers)
        return HttpReply(status=200, body=outcome, headers=headers)

    async def _told(self, waited: Waited, records: Records, place: Place) -> AsyncIterator[bytes]:
        """The events of a stream: comments while the task waits and runs, then its pictures or its error."""
        try:
            record, spoke, said = waited.record, self._monotonic(), ""
            pause = self._pause_in_stream
            yield comment(f"{record.id} {record.status}")
            async for look in looks(record, records, waited.until, self._monotonic, pause, self._limits.pace):
                record = look
                text = f"{record.id} {record.status}"
                if text != said or self._monotonic() - spoke >= _COMMENT_SECONDS:
                    spoke, said = self._monotonic(), text
                    yield comment(text)
            outcome = await self._outcome(waited, record)
            if isinstance(outcome, Failure):
                yield error_event(outcome.error)
                return
            for event in events(waited.request.kind, outcome):
                yield event
        except AwsFailure as failure_:
            log(logging.ERROR, "openai.aws_failed", str(failure_), error_type=failure_.type)
            text = f"A service behind the front door is not available; the task {waited.record.id!r} goes on."
            yield error_event(failure(503, text, task=waited.record.id).error)
        finally:
            place.give_back()

    async def _outcome(self, waited: Waited, record: TaskRecord) -> ImagesReply | Failure:
        if record.status is Status.COMPLETED:
            # Clients of a stream read base64 alone.
            wanted = "b64_json" if waited.request.stream else waited.request.response_format
            return await self._pictures.reply(record, waited.made, wanted)
        return failed_task(record) if record.status.is_terminal else not_yet(record, waited.seconds)


async def _no_stream(_seconds: float) -> bool:
    return False
