"""`GET /v1alpha2/tasks`: a caller's tasks, newest first, in pages.

What one request costs is bounded, whatever it filters by: so a page may be short, or empty, and still have a next one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.looking_up import progress_of
from darkroom.api.ports import Ports, ProgressReports, TaskLists
from darkroom.api.task_paths import no_records
from darkroom.api.whose import PARAMETER as CALLER
from darkroom.api.whose import whose_tasks
from darkroom.errors import Fault
from darkroom.policy.callers import Callers
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import TaskList, TaskView
from darkroom.tasks.task import Status

DEFAULT_LIMIT = 25
MAXIMUM_LIMIT = 100
# So many records are read for one page at most, and so many bytes told. AWS Lambda returns 6 MB, in which a quote takes
# two bytes; a record may have 64 KiB of context.
MOST_LOOKED_AT = 300
_MOST_BYTES = 2 * 1024 * 1024
_MOST_AT_ONCE = 100
_PARAMETERS = ("status", "runtime", "since", "limit", "next", CALLER)
_LONGEST_NAME = 200
_LONGEST_NEXT = 1200
_POSITION = re.compile(r"[0-9]{13}/.{1,200}", re.DOTALL)
_LATEST = 9_999_999_999.0
_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")


class Listing(msgspec.Struct, frozen=True):
    """List tasks of `callers`: up to `limit` that have one of `statuses` and are of `runtime`, where these are set.

    `since` is in seconds since 1970; `before` is a position in the list.
    """

    callers: tuple[str, ...]
    for_operator: bool = False
    statuses: frozenset[Status] = frozenset()
    runtime: str | None = None
    since: float | None = None
    limit: int = DEFAULT_LIMIT
    before: str | None = None

    def wants(self, record: TaskRecord) -> bool:
        """Whether this record is one that is asked for."""
        return (not self.statuses or record.status in self.statuses) and self.runtime in (None, record.runtime)


def plan_listing(request: HttpRequest, callers: Callers) -> Listing | HttpReply:
    """Decide what a request for a list needs."""
    sight = whose_tasks(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    query = request.query
    if faults := list(_faults(query)):
        return exchange.at_fault(*faults)
    return Listing(
        callers=sight.callers,
        for_operator=sight.is_operator,
        statuses=frozenset(map(Status, _names(query.get("status", "")))),
        runtime=query.get("runtime"),
        since=_time(query["since"]) if "since" in query else None,
        limit=int(query.get("limit", DEFAULT_LIMIT)),
        before=_position(query["next"]) if "next" in query else None,
    )


def _faults(query: Mapping[str, str]) -> Iterator[Fault]:
    yield from exchange.unknown_parameters(query, _PARAMETERS, "the list")
    for name in _names(query.get("status", "")):
        if name not in list(Status):
            yield Fault("status", f"must be of {', '.join(Status)}, separated by commas, not {name[:_LONGEST_NAME]!r}")
    limit = query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 9 and 1 <= int(limit) <= MAXIMUM_LIMIT):
        yield Fault("limit", f"must be a number from 1 to {MAXIMUM_LIMIT}, not {limit[:_LONGEST_NAME]!r}")
    if "since" in query and _time(query["since"]) is None:
        shown = query["since"][:_LONGEST_NAME]
        yield Fault("since", f"must be a time as in 2026-11-25T12:00:00Z, or in seconds since 1970, not {shown!r}")
    if "next" in query and _position(query["next"]) is None:
        yield Fault("next", "is not what an earlier page said: begin again without it")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _time(text: str) -> float | None:
    """A time in seconds since 1970; None where it is none."""
    if _SECONDS.fullmatch(text):
        return float(text)
    # In a query, "+" is a blank where nobody has escaped it.
    if len(text) > 6 and text[-6] == " ":
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return None if time.tzinfo is None else min(max(0.0, time.timestamp()), _LATEST)


def _token(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _position(token: str) -> str | None:
    """The position that a page's `next` stands for; None for what no page has said."""
    if not (token.isascii() and len(token) <= _LONGEST_NEXT):
        return None
    try:
        position = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return position if _POSITION.fullmatch(position) else None


class TaskLister:
    """Carries lists out. Every method may raise an `AwsFailure`."""

    def __init__(self, ports: Ports) -> None:
        self._lists = ports.lists
        self._progress = ports.progress

    async def list_tasks(self, plan: Listing) -> HttpReply:
        """Look at records until there are enough of those that are asked for, or too many were looked at."""
        if self._lists is None:
            return no_records()
        return HttpReply(status=200, body=await _page(plan, self._lists, self._progress))


async def _page(plan: Listing, lists: TaskLists, reports: ProgressReports | None) -> TaskList:
    views: list[TaskView] = []
    size = looked_at = 0
    before = plan.before
    # Where nothing is filtered, no more is read than is told.
    filters = bool(plan.statuses) or plan.runtime is not None
    while looked_at < MOST_LOOKED_AT:
        most = _MOST_AT_ONCE if filters else plan.limit - len(views)
        found = await lists.newest(plan.callers, before=before, since=plan.since, most=most)
        looked_at += most
        wanted = [listed.record for listed in found.tasks if plan.wants(listed.record)]
        progress = await progress_of(wanted, reports)
        for listed in found.tasks:
            if plan.wants(record := listed.record):
                so_far = progress.get(record.submission_id)
                view = TaskView.of(record, progress=so_far, for_operator=plan.for_operator)
                size += len(msgspec.json.encode(view))
                if views and (len(views) == plan.limit or size > _MOST_BYTES):
                    return TaskList(tasks=views, next=None if before is None else _token(before))
                views.append(view)
            before = listed.position
        if found.next is None:
            return TaskList(tasks=views)
        before = found.next
        if len(views) == plan.limit:
            break
    return TaskList(tasks=views, next=None if before is None else _token(before))
