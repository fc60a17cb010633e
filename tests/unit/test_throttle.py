"""The token bucket lets a burst pass, then the rate, and says how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.api.throttle import Throttle, TokenBucket


def test_a_burst_passes_at_once_and_no_more() -> None:
    bucket = TokenBucket(rate=30, burst=50)
    waits = [bucket.take(now=100.0) for _ in range(100)]
    assert waits.count(0.0) == 50
    assert all(wait == pytest.approx(1 / 30) for wait in waits[50:])


def test_after_the_wait_one_more_passes() -> None:
    bucket = TokenBucket(rate=2, burst=1)
    assert bucket.take(0.0) == 0
    wait = bucket.take(0.1)
    assert wait == pytest.approx(0.4)
    assert bucket.take(0.1 + wait) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(10.0) == 0
    assert bucket.take(5.0) > 0
    assert bucket.take(10.5) > 0


@given(st.floats(0.1, 1000), st.integers(1, 200), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_never_more_pass_than_the_burst_and_the_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    bucket = TokenBucket(rate, burst)
    now = 0.0
    passed = 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now) == 0
        assert passed <= burst + rate * (now - pauses[0]) + 1e-6 + 1e-9 * rate


def test_keys_do_not_share_a_bucket() -> None:
    throttle = Throttle(rate=1, burst=1)
    assert throttle.take("a", 0.0) == 0
    assert throttle.take("b", 0.0) == 0
    assert throttle.take("a", 0.0) > 0
