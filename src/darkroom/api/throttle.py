"""A token bucket per key, as Amazon API Gateway throttles: a rate, and a burst on top of it. No clock in here."""

from __future__ import annotations

import math
from collections.abc import Iterable

from darkroom.policy.callers import CallerSpec


class TokenBucket:
    """Holds up to `burst` tokens and gains `rate` of them per second; it starts full."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = float(burst)
        self._filled_at = -math.inf

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one; `now` is in seconds and only grows."""
        elapsed = max(0.0, now - self._filled_at)
        self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
        self._filled_at = max(self._filled_at, now)
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate


class Throttle:
    """One bucket per key, each of `rate` and `burst` but where `callers` says otherwise.

    Give it keys (or names) that were checked: it remembers every one that it sees.
    """

    def __init__(self, rate: float, burst: int, callers: Iterable[CallerSpec] = ()) -> None:
        self._rate = rate
        self._burst = burst
        self._callers = {caller.name: caller for caller in callers}
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str, now: float) -> float:
        """Let a request with `key` pass and return 0, or return the seconds until one may pass."""
        return self.bucket(key).take(now)

    def bucket(self, key: str) -> TokenBucket:
        """The bucket of `key`."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = self._new_bucket(key)
        return bucket

    def _new_bucket(self, key: str) -> TokenBucket:
        caller = self._callers.get(key)
        rate, burst = (None, None) if caller is None else (caller.rate_limit, caller.burst_limit)
        return TokenBucket(self._rate if rate is None else rate, self._burst if burst is None else burst)
