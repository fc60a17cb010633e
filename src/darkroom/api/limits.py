"""A caller's limits at a gateway: one for submitting, and one for all else, so that asking costs no task its place.

Each answer says how much is left, as the IETF's draft on rate limit headers has it: a policy by its name, with a quota
`q` for a window of `w` seconds, and of it `r` that remain, and `t` seconds until all of them do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from darkroom.api.throttle import Throttle
from darkroom.policy.callers import CallerSpec

SUBMITTING, READING = "submit", "read"


class Allowance(msgspec.Struct, frozen=True):
    """Whether a request may pass: after so many seconds, where these are not 0; and what its answer says of it."""

    wait_seconds: float
    headers: dict[str, str]


class Limits:
    """The limits of one gateway, in requests per second and requests at once, but where `callers` says otherwise."""

    def __init__(self, rate: float, burst: int, callers: Iterable[CallerSpec] = ()) -> None:
        specs = list(callers)
        self._throttles = {name: Throttle(rate, burst, specs) for name in (SUBMITTING, READING)}

    def take(self, caller: str, method: str, now: float) -> Allowance:
        """Count a request; `now` is in seconds and only grows."""
        name = SUBMITTING if method == "POST" else READING
        bucket = self._throttles[name].bucket(caller)
        wait_seconds = bucket.take(now)
        left = (
            math.ceil(wait_seconds) if wait_seconds else math.ceil((bucket.burst - bucket.tokens) / bucket.rate),
            int(bucket.tokens),
        )
        return Allowance(
            wait_seconds,
            {
                "RateLimit-Policy": f'"{name}";q={bucket.burst};w={max(1, math.ceil(bucket.burst / bucket.rate))}',
                "RateLimit": f'"{name}";r={left[1]};t={left[0]}',
            },
        )
