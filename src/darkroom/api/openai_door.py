"""OpenAI's Images API at both doors: a request becomes a task, and its reply waits for the task's end.

`darkroom.openai` translates; this is what has to be done in between. A door tells how long a reply may take and how
large it may be. Whoever cannot wait that long is told which task goes on, and joins it by sending the request again.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.openai_beginning import Beginning, Waited
from darkroom.api.openai_errors import as_openai, aws_failed, reply_of
from darkroom.api.openai_finishing import Finishing, Stream
from darkroom.api.openai_pictures import Pictures
from darkroom.api.openai_waiting import NO_EVENT_LOOP, EventLoop, Pace, Pause, Places
from darkroom.api.ports import Ports
from darkroom.api.submission import SubmissionPlanner
from darkroom.api.submitting import Submitting
from darkroom.errors import AwsFailure
from darkroom.openai.client_headers import ClientHeaders
from darkroom.openai.form import is_form
from darkroom.openai.models import ModelList, Models, Target
from darkroom.openai.replies import (
    failure,
    refused,
)
from darkroom.openai.request import BadRequest, ImageRequest, Kind, read_edit, read_generation
from darkroom.openai.translation import Translation, translate
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue

EVENT_STREAM = "text/event-stream"
_BUSY_SECONDS = 5


class DoorLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a door can do: how long and how large a reply may be, how many wait at once, whether replies are streams."""

    patience_seconds: float
    reply_bytes: int
    most_waiting: int
    streams: bool
    pace: Pace = Pace()


_Plan = tuple[ImageRequest, Translation, Admitted]


class OpenAiDoor:
    """Answers requests. `clock` tells seconds since 1970, `monotonic` seconds that only grow; `new_seed` is random.

    `loop` is needed where replies are streams.
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
        loop: EventLoop = NO_EVENT_LOOP,
    ) -> None:
        self._catalogue = catalogue
        self._models = models
        self._ports = ports
        self._limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self._new_seed = new_seed
        self._loop = loop
        self._beginning = Beginning(
            SubmissionPlanner(catalogue, ports.bucket.name),
            Submitting(ports, callers),
            ports,
            clock=clock,
            new_submission_id=new_submission_id,
            patience_seconds=limits.patience_seconds,
        )
        self._finishing = Finishing(
            Pictures(ports.bucket, limits.reply_bytes, clock, loop.making_replies),
            ports.records,
            ports.progress,
            limits.pace,
            monotonic=monotonic,
            pause_in_stream=loop.pause,
        )
        self.places = Places(limits.most_waiting)

    async def begin(self, request: HttpRequest, client: ClientHeaders) -> HttpReply | Waited:
        """Do what `request` asks for, up to its task. Neither key nor prompt is logged.

        What is returned holds nothing of the request's body: let go of that before `finish`, or the pictures of all who
        wait are kept.
        """
        try:
            begun = await self._begin(request, client)
        except AwsFailure as failed:
            begun = aws_failed(failed)
        return as_openai(begun) if isinstance(begun, HttpReply) else begun

    async def finish(self, waited: Waited, pause: Pause) -> HttpReply | Stream:
        """Wait for the task, in the way of `pause`, and reply."""
        if waited.stream and self._limits.streams:
            return self._finishing.stream(waited)
        return await self._finishing.reply(waited, pause)

    async def _begin(self, request: HttpRequest, client: ClientHeaders) -> HttpReply | Waited:
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
                return self._unreadable(kind, request) or await self._images(kind, request, client)
        return exchange.not_found_as_openai_has_it(request.path)

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

    async def _images(self, kind: Kind, http: HttpRequest, client: ClientHeaders) -> HttpReply | Waited:
        began = self._monotonic()
        if kind == "generate":
            plan: _Plan | BadRequest = self._plan(read_generation(http.body), http.caller)
        else:  # looking through pictures takes a while
            plan = await self._loop.beside(lambda: self._plan(read_edit(http.content_type, http.body), http.caller))
        if isinstance(plan, BadRequest):
            return reply_of(refused(plan))
        if self._ports.records is None:
            return exchange.error(404, "This deployment keeps no records of tasks, which this API needs.")
        place = self.places.take(http.caller)
        if place is None:
            text = "As many requests wait for pictures as this front door lets wait: send it again in a little while."
            headers = {"Retry-After": str(_BUSY_SECONDS)}
            return reply_of(failure(503, text, code="too_many_waiting", headers=headers))
        begun: HttpReply | Waited | None = None
        try:
            begun = await self._beginning.begin(http, client, *plan, self._ports.records, place, began)
        finally:
            if not isinstance(begun, Waited):
                place.give_back()
        return begun

    def _plan(self, request: ImageRequest | BadRequest, caller: str) -> _Plan | BadRequest:
        if isinstance(request, BadRequest):
            return request
        target = self._models.choose(request.model, request.kind)
        if not isinstance(target, Target):
            return BadRequest((target,))
        translation = translate(request, target, self._ports.bucket.name, caller, self._new_seed)
        if isinstance(translation, BadRequest):
            return translation
        verdict = admit(translation.draft, self._catalogue, self._clock())
        return BadRequest(verdict.faults) if isinstance(verdict, Refused) else (request, translation, verdict)
