"""`/v1alpha2/webhooks/deliveries`: what became of the webhooks of a caller's tasks, and to have one sent again.

An operator sees everybody's, and has anybody's sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports
from darkroom.api.whose import PARAMETER as CALLER
from darkroom.api.whose import Sight, whose_tasks
from darkroom.errors import AwsFailure, Fault
from darkroom.policy.callers import Callers
from darkroom.tasks.delivery_replies import DeliveryPage, DeliveryView
from darkroom.tasks.webhook import DELIVERY_ATTRIBUTE, DeliveryStatus, WebhookDelivery

LONGEST_PAGE, USUAL_PAGE = 100, 50
_ID = re.compile("[A-Za-z0-9_-]{1,80}")
_NEXT = re.compile(r"([0-9]{13})\.([A-Za-z0-9_-]{1,80})")
# What was to be tried so long ago and was not has lost its message.
_LOST_SECONDS = 3600.0


_PARAMETERS = ("status", "limit", "next", CALLER)


class DeliveryListing(msgspec.Struct, frozen=True, kw_only=True):
    """List deliveries of callers' tasks: `limit` of them, those before `before`, of them those with `status`."""

    sight: Sight
    limit: int = USUAL_PAGE
    before: str | None = None
    status: DeliveryStatus | None = None


class DeliveryRetry(msgspec.Struct, frozen=True):
    """Send a delivery of one of these callers' tasks once more."""

    delivery_id: str
    sight: Sight


def plan_delivery_listing(request: HttpRequest, callers: Callers) -> DeliveryListing | HttpReply:
    """Decide what a request for deliveries needs."""
    sight, query = whose_tasks(request, callers), request.query
    if isinstance(sight, HttpReply):
        return sight
    faults = list(exchange.unknown_parameters(query, _PARAMETERS, "deliveries"))
    limit, status, next_ = query.get("limit", str(USUAL_PAGE)), query.get("status"), query.get("next")
    if not (re.fullmatch("[0-9]{1,3}", limit) and 1 <= int(limit) <= LONGEST_PAGE):
        faults.append(Fault("limit", f"must be a number from 1 to {LONGEST_PAGE}, not {limit[:100]!r}"))
    if status is not None and status not in [*DeliveryStatus]:
        faults.append(Fault("status", f"must be one of {', '.join(DeliveryStatus)}, not {status[:100]!r}"))
    before = None if next_ is None else _NEXT.fullmatch(next_)
    if next_ is not None and before is None:
        faults.append(Fault("next", f"must be what the page before has said, not {next_[:100]!r}"))
    if faults:
        return exchange.error(400, "The request cannot be accepted as it is.", faults)
    return DeliveryListing(
        sight=sight,
        limit=int(limit),
        before=None if before is None else f"{before[1]}/{before[2]}",
        status=None if status is None else DeliveryStatus(status),
    )


def plan_delivery_retry(delivery_id: str, request: HttpRequest, callers: Callers) -> DeliveryRetry | HttpReply:
    """Decide what a request to send a delivery again needs."""
    sight = whose_tasks(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    return DeliveryRetry(delivery_id, sight) if _ID.fullmatch(delivery_id) else _no_such_delivery(delivery_id)


class WebhookDeliveries:
    """Carries both out. `clock` tells seconds since 1970 (UTC). Every method may raise an `AwsFailure`."""

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._deliveries = ports.deliveries
        self._queue = ports.webhook_queue
        self._clock = clock

    async def list(self, plan: DeliveryListing) -> HttpReply:
        """Read a page of the deliveries that are meant."""
        if self._deliveries is None:
            return _no_webhooks()
        found, more = await self._deliveries.page(plan.sight.callers, plan.limit, plan.before)
        shown = [one for one in found if plan.status is None or one.status is plan.status]
        views = [DeliveryView.of(one, for_operator=plan.sight.is_operator) for one in shown]
        page = DeliveryPage(deliveries=views, next=None if more is None else more.replace("/", ".", 1))
        return HttpReply(status=200, body=page)

    async def retry(self, plan: DeliveryRetry) -> HttpReply:
        """Have the sender try a delivery anew: at once, and as often as it did at first."""
        if self._deliveries is None or self._queue is None:
            return _no_webhooks()
        before = await self._deliveries.get(plan.delivery_id)
        if before is None or not plan.sight.covers(before.caller):  # another's is as good as none
            return _no_such_delivery(plan.delivery_id)
        now = self._clock()
        if before.status is DeliveryStatus.PENDING and not _is_lost(before, now):
            return _is_pending()
        again = msgspec.structs.replace(
            before, status=DeliveryStatus.PENDING, attempts=0, updated_at=now, next_try_at=now
        )
        if not await self._deliveries.replace(before, again):
            return _is_pending()
        try:
            await self._queue.send("{}", {DELIVERY_ATTRIBUTE: again.id})
        except AwsFailure:
            await self._deliveries.replace(again, before)
            raise
        return HttpReply(status=202, body=DeliveryView.of(again, for_operator=plan.sight.is_operator))


def _is_lost(delivery: WebhookDelivery, now: float) -> bool:
    return (delivery.next_try_at or delivery.updated_at) + _LOST_SECONDS < now


def _is_pending() -> HttpReply:
    return exchange.error(409, "This delivery has not come to its end yet: it is tried by itself (see next_try_at).")


def _no_such_delivery(delivery_id: str) -> HttpReply:
    return exchange.error(404, f"There is no delivery {delivery_id[:100]!r}; they are kept for 14 days.")


def _no_webhooks() -> HttpReply:
    return exchange.error(404, "This deployment sends no webhooks; subscribe to its output topic instead.")
