"""`GET /v1alpha2/events` and `/v1alpha2/tasks/{id}/events`: what a request for events asks for.

Only a gateway over a table with the index `changes` can tell of them (`darkroom.api.event_streams`): others answer 404.
"""

from __future__ import annotations

import re

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.task_paths import read_task_path
from darkroom.api.whose import PARAMETER as CALLER
from darkroom.api.whose import Sight, whose_task, whose_tasks
from darkroom.errors import Fault
from darkroom.policy.callers import Callers

_POSITION = re.compile(r"[0-9]{13}/.{1,200}")


class EventsRequest(msgspec.Struct, frozen=True):
    """Tell of what happens to one task, or to all; `last_event_id` is what the client has seen last."""

    caller: str
    sight: Sight
    task_id: str | None = None
    last_event_id: str | None = None


def plan_events(request: HttpRequest, callers: Callers) -> EventsRequest | HttpReply | None:
    """Decide what a request for events needs; None for a request of another kind."""
    match request.path.strip("/").split("/"):
        case ["v1alpha2", "events"]:
            encoded_id = None
        case ["v1alpha2", "tasks", encoded_id, "events"] if encoded_id:
            pass
        case _:
            return None
    if request.method != "GET":
        return exchange.method_not_allowed(request.method, "GET")
    if unknown := list(exchange.unknown_parameters(request.query, (CALLER,), "events")):
        return exchange.at_fault(*unknown)
    last = request.last_event_id or None
    if last is not None and not _POSITION.fullmatch(last):
        return exchange.at_fault(Fault("Last-Event-ID", "is not the id of an event"))
    if encoded_id is None:
        sight = whose_tasks(request, callers)
        return sight if isinstance(sight, HttpReply) else EventsRequest(request.caller, sight, None, last)
    path, sight = read_task_path(encoded_id), whose_task(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    return path.refusal() or EventsRequest(request.caller, sight, path.task_id, last)
