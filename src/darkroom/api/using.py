"""`GET /v1alpha2/usage`: what a caller has used, by day and runtime; an operator sees everybody's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports
from darkroom.api.task_paths import no_records
from darkroom.api.whose import PARAMETER as CALLER
from darkroom.api.whose import whose_tasks
from darkroom.errors import Fault
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue
from darkroom.tasks.replies import UsageReply, UsageView

# What one reply may cover, so that what it costs is bounded.
MOST_DAYS = 93
_PARAMETERS = ("from", "to", "runtime", CALLER)
_LONGEST_SHOWN = 200
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class UsageQuery(msgspec.Struct, frozen=True):
    """Tell what `callers` have used from one day to another, both included (as in 2026-11-25, UTC).

    `prices` are in USD for an hour of a runtime's device, where they are known.
    """

    callers: tuple[str, ...]
    first_day: str
    last_day: str
    runtime: str | None
    prices: Mapping[str, float]


def plan_usage(request: HttpRequest, callers: Callers, catalogue: Catalogue, now: float) -> UsageQuery | HttpReply:
    """Decide what a request for usage needs; `now` is in seconds since 1970. By default it is this month's."""
    sight = whose_tasks(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    if faults := list(_faults(request.query)):
        return exchange.at_fault(*faults)
    today = datetime.fromtimestamp(now, UTC).date()
    last = _day(request.query.get("to", "")) or today
    first = _day(request.query.get("from", "")) or last.replace(day=1)
    if not 0 <= (last - first).days < MOST_DAYS:
        reason = f"must be a day before `to`, {last}, or the same; {MOST_DAYS} days at most can be asked for at once"
        return exchange.at_fault(Fault("from", reason))
    return UsageQuery(
        callers=sight.callers,
        first_day=first.isoformat(),
        last_day=last.isoformat(),
        runtime=request.query.get("runtime"),
        prices={spec.name: spec.device_hour_usd for spec in catalogue if spec.device_hour_usd is not None},
    )


def _faults(query: Mapping[str, str]) -> Iterator[Fault]:
    yield from exchange.unknown_parameters(query, _PARAMETERS, "usage")
    for name, value in query.items():
        if name in ("from", "to") and _day(value) is None:
            yield Fault(name, f"must be a day as in 2026-11-25, not {value[:_LONGEST_SHOWN]!r}")


def _day(text: str) -> date | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class UsageTelling:
    """Carries requests for usage out. Every method may raise an `AwsFailure`."""

    def __init__(self, ports: Ports) -> None:
        self._usage = ports.usage

    async def tell(self, query: UsageQuery) -> HttpReply:
        """Read what was used, and estimate what it cost where a price is known."""
        if self._usage is None:
            return no_records()
        found = await self._usage.read(query.callers, first_day=query.first_day, last_day=query.last_day)
        views = [
            UsageView.of(day, query.prices.get(day.runtime)) for day in found if query.runtime in (None, day.runtime)
        ]
        return HttpReply(status=200, body=UsageReply(first_day=query.first_day, last_day=query.last_day, usage=views))
