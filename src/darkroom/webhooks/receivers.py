"""Who is being told right now: so many at once, and of these so many of one receiver and of one caller.

A delivery that finds no place is not kept waiting here, where it would take up room, but goes back to the queue for a
moment. So a receiver that never answers costs a few places, a caller with a hundred such receivers a few more, and
everybody else's deliveries go out at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

MOST_OF_A_RECEIVER = 8
MOST_OF_A_CALLER = 32
# After a receiver has used up a request's whole time, for so long no new one is begun, and then one alone.
_SLOW_REST_SECONDS = 10.0
_DOWN_AFTER = 3
# However long it asks for: what it wants of one delivery is kept by that (`darkroom.policy.webhook_tries`).
_LONGEST_REST_SECONDS = 300.0
_MOST_REMEMBERED = 10_000

T = TypeVar("T")
_Whose = tuple[str, str]


class Receivers:
    """Gives out places. `monotonic` is a clock in seconds."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        most_of_a_receiver: int = MOST_OF_A_RECEIVER,
        most_of_a_caller: int = MOST_OF_A_CALLER,
    ) -> None:
        self._monotonic = monotonic
        self._most_of_a_receiver = most_of_a_receiver
        self._most_of_a_caller = most_of_a_caller
        # By caller and receiver: what a host that serves many answers to one caller says nothing of the others.
        self._told: Counter[_Whose] = Counter()
        self._callers: Counter[str] = Counter()
        self._slow: dict[_Whose, None] = {}
        self._down: dict[_Whose, int] = {}
        self._rests_until: dict[_Whose, float] = {}

    @contextmanager
    def place(self, receiver: str, caller: str) -> Iterator[bool]:
        """A place for the body of the `with`, if there is one."""
        if not self._has_place((caller, receiver)):
            yield False
            return
        self._told[caller, receiver] += 1
        self._callers[caller] += 1
        try:
            yield True
        finally:
            _less(self._told, (caller, receiver))
            _less(self._callers, caller)

    def is_slow(self, receiver: str, caller: str) -> bool:
        """Whether its last request took all of its time, or the last few failed."""
        return (caller, receiver) in self._slow

    def has_place(self, receiver: str, caller: str) -> bool:
        """Whether there is a place now."""
        return self._has_place((caller, receiver))

    def answered(
        self, receiver: str, caller: str, *, is_slow: bool, is_down: bool = False, rest_seconds: float = 0.0
    ) -> None:
        """Learn of a try: whether it took all of its time, and how long the receiver wants to be left alone.

        One that `is_down`, because nobody answered or its server failed, is taken for a slow one when it was so again
        and again: the others need not all find out for themselves, and come by soon after it is up again.
        """
        whose = (caller, receiver)
        self._down[whose] = self._down.get(whose, 0) + 1 if is_down else 0
        is_slow = is_slow or self._down[whose] >= _DOWN_AFTER
        if is_slow:
            self._slow[whose] = None
            rest_seconds = max(rest_seconds, _SLOW_REST_SECONDS)
        else:
            self._slow.pop(whose, None)
        if rest_seconds > 0:
            until = self._monotonic() + min(rest_seconds, _LONGEST_REST_SECONDS)
            self._rests_until[whose] = max(self._rests_until.get(whose, 0.0), until)
        _forget(self._down)
        _forget(self._slow)
        _forget(self._rests_until)

    def _has_place(self, whose: _Whose) -> bool:
        if self._rests_until.get(whose, 0.0) > self._monotonic():
            return False
        most = 1 if whose in self._slow else self._most_of_a_receiver
        return self._told[whose] < most and self._callers[whose[0]] < self._most_of_a_caller


def _less(counter: Counter[T], name: T) -> None:
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]


def _forget(remembered: dict[_Whose, Any]) -> None:
    """Receivers are named by strangers: the oldest of too many are taken for good ones again."""
    while len(remembered) > _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))
