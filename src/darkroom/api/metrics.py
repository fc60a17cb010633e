"""What the gateway counts of its requests, for Prometheus, and who may ask for that.

The figures stand outside the stage and need no key, as scrapers have none. They name no caller, unless the operator has
asked for it, and are told to loopback alone, or to the networks that the operator names; for everybody else, there is
nothing at that place. A request that a proxy hands on does not come from loopback, whatever its address is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.metrics.exposition import exposition, new_registry
from darkroom.settings import Network

# In a request's scope: whose key it came with.
CALLER = "darkroom.caller"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_HANDED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class GatewayMetrics:
    """Counts for one gateway; `names_callers`, whether a label says whose requests they were."""

    def __init__(self, *, names_callers: bool = False) -> None:
        self.registry = new_registry()
        self._names_callers = names_callers
        labels = ["route", "method", "status", *(["caller"] if names_callers else [])]
        self._requests = Counter(
            "darkroom_gateway_requests", "Requests that were answered.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "darkroom_gateway_request_duration_seconds",
            "Seconds from a request's arrival until the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        # Looking for a label's values takes as long as all else here.
        self._found: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}
        self.in_progress = Gauge(
            "darkroom_gateway_requests_in_progress", "Requests that are being answered.", registry=self.registry
        )

    def answered(self, route: str, method: str, status: int, seconds: float, caller: str | None) -> None:
        """Count a request. `route` is the route's path, with its parameters' names in place of their values."""
        known = method if method in _METHODS else "other"
        of = (route, known, status, caller or "" if self._names_callers else "")
        found = self._found.get(of)
        if found is None:
            labels = [route, known, str(status), *([of[3]] if self._names_callers else [])]
            found = self._found[of] = (self._requests.labels(*labels), self._seconds.labels(route))
        requests, seconds_of_route = found
        requests.inc()
        seconds_of_route.observe(seconds)

    def text(self, accept: str) -> tuple[bytes, str]:
        """All figures, and their content type, for a request with this header `Accept`."""
        return exposition(self.registry, accept)


class CountingRequests:
    """Counts every request to the app within, whatever answers it. `monotonic` is a clock in seconds."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._metrics = metrics
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count when the answer has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at, status = self._monotonic(), 500  # where nothing was sent, a fault of ours is answered outside

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self._app(scope, receive, note)
        finally:
            self._metrics.in_progress.dec()
            # None where no route fits: what somebody has made up must not become a label.
            route = getattr(scope.get("route"), "path", "")
            seconds = self._monotonic() - began_at
            self._metrics.answered(route, scope["method"], status, seconds, scope.get(CALLER))


def may_ask(networks: Sequence[Network], address: str | None, headers: Headers) -> bool:
    """Whether figures are told to who asks from `address`, as the server knows it."""
    try:
        asking = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    if isinstance(asking, ipaddress.IPv6Address) and asking.ipv4_mapped is not None:
        asking = asking.ipv4_mapped
    if asking.is_loopback and any(name in headers for name in _HANDED_ON):
        return False
    return any(asking in network for network in networks)
