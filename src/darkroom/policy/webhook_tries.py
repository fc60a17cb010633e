"""What a receiver's answer to a webhook means, and when the next try is due: pure decisions.

Ten tries within two hours, after Standard Webhooks: the first at once, the second some seconds later, and then ever
more seldom. Chance only shortens a wait, so that the two hours are kept.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

TRIES = 10
SPAN_SECONDS = 7200.0
# How long after a try the next one is due, if the receiver does not say.
_WAITS = (5.0, 30.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1500.0, 1800.0)
_LEAST_SHARE = 0.8
# Who says that it is overloaded is left alone for a while, whatever try it was.
_THROTTLED = frozenset({429, 502, 503, 504})
_LEAST_THROTTLED_SECONDS = 60.0
_GONE = 410
# Where a receiver has as many requests as it may have, its others wait outside: first briefly, then longer.
_SHORTEST_TURN_SECONDS, _LONGEST_TURN_SECONDS = 2.0, 60.0


class Answered(msgspec.Struct, frozen=True):
    """The receiver's HTTP status, and the seconds that its header Retry-After asks for."""

    status: int
    retry_after_seconds: float | None = None


class NotAnswered(msgspec.Struct, frozen=True):
    """There was no answer, and why. `is_slow`: the time was used up. `is_final`: nothing may be sent there at all."""

    reason: str
    is_slow: bool = False
    is_final: bool = False


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has it."""


class TryAgain(msgspec.Struct, frozen=True):
    """Another try is due in so many seconds. `rest_seconds`: how long nothing at all should be sent to its receiver."""

    delay_seconds: float
    reason: str
    rest_seconds: float = 0.0


class GiveUp(msgspec.Struct, frozen=True):
    """There is no other try. `is_gone`: the receiver wants none."""

    reason: str
    is_gone: bool = False


Verdict = Delivered | TryAgain | GiveUp


def judge(answer: Answered | NotAnswered, *, tries: int, age_seconds: float, chance: float) -> Verdict:
    """What becomes of a delivery after its try number `tries`, counted from 1.

    `age_seconds`: how long ago it was to be told; `chance` is from 0 to 1.
    """
    if isinstance(answer, Answered):
        if 200 <= answer.status < 300:
            return Delivered()
        reason = _meaning(answer.status)
        if answer.status == _GONE:
            return GiveUp(reason, is_gone=True)
    else:
        reason = answer.reason
        if answer.is_final:
            return GiveUp(reason)
    left = SPAN_SECONDS - age_seconds
    if tries >= TRIES or left <= 0:
        return GiveUp(f"{reason}; it was tried {tries} time{'s' if tries > 1 else ''}")
    wait = _WAITS[tries - 1] * (_LEAST_SHARE + (1 - _LEAST_SHARE) * chance)
    rest = 0.0
    if isinstance(answer, Answered):
        if answer.status in _THROTTLED:
            rest = _LEAST_THROTTLED_SECONDS
        rest = max(rest, answer.retry_after_seconds or 0.0)
    # Whoever asks for more time than there is gets one last try at its end.
    return TryAgain(min(max(wait, rest), left), reason, min(rest, left))


def turn_seconds(postponed: int, chance: float, *, is_slow: bool = False) -> float:
    """How long a delivery waits outside that was `postponed` so often because its receiver had no place for it.

    At one that `is_slow`, the others before it take long: to come by sooner would be in vain, and not for nothing.
    """
    soon: float = min(_SHORTEST_TURN_SECONDS * 2.0 ** min(postponed, 10), _LONGEST_TURN_SECONDS)
    longest = _LONGEST_TURN_SECONDS if is_slow else soon
    return longest * (0.5 + 0.5 * chance)


def out_of_time(age_seconds: float) -> bool:
    """Whether the two hours are over."""
    return age_seconds >= SPAN_SECONDS


def retry_after(header: str | None, now: float) -> float | None:
    """What a header Retry-After asks for, in seconds from `now`; None where it says nothing that can be read."""
    text = (header or "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    try:
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
    except (OverflowError, ValueError):
        return None


def _meaning(status: int) -> str:
    if status == _GONE:
        return "the receiver answered 410: it wants no more"
    if 300 <= status < 400:
        return f"the receiver answered {status}: redirects are not followed; name the address that they lead to"
    return f"the receiver answered {status}"
