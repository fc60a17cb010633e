"""A token bucket per key, as Amazon API Gateway throttles: a rate, and a burst on top of it. No clock in here."""

from __future__ import annotations

import math


class TokenBucket:
    """Holds up to `burst` tokens and gains `rate` of them per second; it starts full."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = self._burst
        self._filled_at = -math.inf

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one; `now` is in seconds and only grows."""
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        self._filled_at = max(self._filled_at, now)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Throttle:
    """One bucket per key. Give it keys that were checked: it remembers every one that it sees."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str, now: float) -> float:
        """Let a request with `key` pass and return 0, or return the seconds until one may pass."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst)
        return bucket.take(now)
