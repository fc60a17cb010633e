"""`GET /v1alpha2/tasks/{id}`: where a task stands, and links to its pictures; with `?wait=`, once it has changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports, ProgressReports, Records
from darkroom.api.runtime_states import RuntimeStates
from darkroom.api.task_paths import no_records, no_such_task, read_task_path
from darkroom.api.waiting import Waiter
from darkroom.api.whose import PARAMETER as CALLER
from darkroom.api.whose import Sight, whose_task
from darkroom.errors import Fault
from darkroom.policy.callers import Callers
from darkroom.tasks.notification import decode_end
from darkroom.tasks.progress import Progress
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import Links, TaskView
from darkroom.tasks.task import Status

LINK_SECONDS = 3600
# A link signed with a role's credentials is up to 3 KB long, and AWS Lambda returns 6 MB at most.
MOST_LINKS = 1000
_LONGEST_NUMBER = 9  # digits
_PARAMETERS = ("links", "from", "wait", CALLER)
# Amazon API Gateway ends a request after 29 seconds.
MAXIMUM_WAIT_SECONDS = 20
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


class Lookup(msgspec.Struct, frozen=True):
    """Say where a task stands; `links` asks for URLs that a caller without AWS credentials can open.

    `first` is the number of the first picture for which there should be one, counted from 1. `wait` is for how many
    seconds a change of the status is waited for, where the task has not ended.
    """

    task_id: str
    sight: Sight
    links: bool
    first: int = 1
    wait: float = 0.0


def plan_lookup(encoded_id: str, request: HttpRequest, callers: Callers) -> Lookup | HttpReply:
    """Decide what a request for a task needs."""
    path, query = read_task_path(encoded_id), request.query
    sight = whose_task(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    links, first, wait = query.get("links", "false").lower(), query.get("from", "1"), query.get("wait", "0")
    unknown = exchange.unknown_parameters(query, _PARAMETERS, "a look-up")
    refusal = path.refusal((*unknown, *_faults(links, first, wait)))
    return refusal or Lookup(path.task_id, sight, links == "true", int(first), float(wait))


def _faults(links: str, first: str, wait: str) -> Iterator[Fault]:
    if links not in ("true", "false"):
        yield Fault("links", f"must be true or false, not {links[:100]!r}")
    if not (first.isascii() and first.isdecimal() and len(first) <= _LONGEST_NUMBER and int(first) > 0):
        yield Fault("from", f"must be the number of a picture, counted from 1, not {first[:100]!r}")
    if not (_SECONDS.fullmatch(wait) and float(wait) <= MAXIMUM_WAIT_SECONDS):
        yield Fault("wait", f"must be a number of seconds from 0 to {MAXIMUM_WAIT_SECONDS}, not {wait[:100]!r}")


async def progress_of(records: Iterable[TaskRecord], reports: ProgressReports | None) -> dict[str, Progress]:
    """How far those of these tasks are that run, by their submissions' ids."""
    running = [record.submission_id for record in records if record.status is Status.RUNNING]
    return await reports.read(running) if running and reports is not None else {}


class LookingUp:
    """Carries look-ups out. `clock` tells seconds since 1970 (UTC). Every method may raise an `AwsFailure`."""

    def __init__(
        self, ports: Ports, clock: Callable[[], float], states: RuntimeStates, waiter: Waiter | None = None
    ) -> None:
        self._ports = ports
        self._clock = clock
        self._states = states
        self._waiter = waiter

    async def look_up(self, plan: Lookup) -> HttpReply:
        """Read the record, wait where that is asked for, and sign links where they are."""
        if self._ports.records is None:
            return no_records()
        record = await self._find(plan, self._ports.records)
        if record is None:
            return no_such_task(plan.task_id)
        if plan.wait and self._waiter is not None and not record.status.is_terminal:
            record = await self._waiter.until_changed(record, plan.wait)
        links = await self._links(record, plan.first) if plan.links else None
        progress = (await progress_of([record], self._ports.progress)).get(record.submission_id)
        place = await self._states.place_of(record)
        view = TaskView.of(record, links, progress=progress, place=place, for_operator=plan.sight.is_operator)
        return HttpReply(status=200, body=view)

    async def _find(self, plan: Lookup, records: Records) -> TaskRecord | None:
        for caller in plan.sight.callers:
            if (record := await records.get(plan.task_id, caller)) is not None:
                return record
        return None

    async def _links(self, record: TaskRecord, first: int) -> Links | None:
        pictures = await self._pictures(record)
        if not pictures and record.output_url is None:
            return None
        return Links(
            image_url=[await self._link(url) for url in pictures[first - 1 :][:MOST_LINKS]],
            output_url=None if record.output_url is None else await self._link(record.output_url),
            expires_at=datetime.fromtimestamp(int(self._clock()) + LINK_SECONDS, UTC),
        )

    async def _pictures(self, record: TaskRecord) -> list[str]:
        """The s3:// URLs of a task's pictures: from its record, or from its `.out` object where they are too many."""
        if not record.image_url_omitted or record.output_url is None:
            return record.image_url
        document = await self._ports.bucket.find(self._key(record.output_url))
        end = None if document is None else decode_end(document)
        return [] if end is None else end.notification.image_url or []

    def _key(self, url: str) -> str:
        return url.removeprefix(f"s3://{self._ports.bucket.name}/")

    async def _link(self, url: str) -> str:
        return await self._ports.bucket.presigned_url(self._key(url), LINK_SECONDS)
