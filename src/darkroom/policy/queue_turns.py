"""Which of a runtime's two queues is asked next: that of normal tasks, or that of low ones. Pure.

Normal tasks come first: low ones are asked for when no normal one was found. Yet a low one waits no longer than a
bound, or it would never be done while normal ones keep coming. SQS does not tell how old the oldest message is, so the
bound goes by what the last look found: what comes into an empty queue is not too old for as long as the bound is, and
behind a message there are such as were sent later. What is overdue takes every second turn, no more: a pile of low
tasks must not keep normal ones away either.
"""

from __future__ import annotations

import msgspec

# SQS looks at all of its servers only where it may wait, and a second is the least that it takes.
SURE_WAIT_SECONDS = 1


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask next: which queue, for how many messages at most, and how long to wait for them."""

    low: bool
    maximum: int
    wait_seconds: int


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """What the last answers have told; times are in seconds since 1970.

    `due_at` is when the low queue may hold a task that has waited for longer than `bound_seconds`. `normal_is_empty`
    and `low_is_empty` are by their queues' last answers; `yields`: a low task was taken for its age, and the next turn
    is the normal queue's.
    """

    bound_seconds: float
    due_at: float
    normal_is_empty: bool = False
    low_is_empty: bool = True
    yields: bool = False

    @classmethod
    def begin(cls, bound_seconds: float, now: float) -> Turns:
        """Those of an agent that begins `now`, and knows nothing of what waits."""
        return cls(bound_seconds=bound_seconds, due_at=now + bound_seconds)

    def next(self, now: float, *, missing: int, missing_low: int, wait_seconds: int) -> Poll:
        """What to ask `now`, where up to `missing` messages are wanted, and `missing_low` if they are of low priority.

        `wait_seconds` is how long the normal queue is usually waited for. While low tasks are known to wait, it is
        waited for no longer than is needed to be sure; and the low queue is asked in passing while it is thought empty,
        since a normal task may come meanwhile.
        """
        if self.normal_is_empty:
            wait = 0 if self.low_is_empty and now < self.due_at else SURE_WAIT_SECONDS
            return Poll(low=True, maximum=max(1, missing_low), wait_seconds=wait)
        if now >= self.due_at and not self.yields:
            return Poll(low=True, maximum=1, wait_seconds=SURE_WAIT_SECONDS)
        wait = wait_seconds if self.low_is_empty else min(wait_seconds, SURE_WAIT_SECONDS)
        return Poll(low=False, maximum=missing, wait_seconds=wait)

    def after(self, poll: Poll, asked_at: float, newest_sent_at: float | None, now: float) -> Turns:
        """The turns after `poll`, which was asked at `asked_at`; `newest_sent_at` is None where nothing was found.

        Where a queue could not be asked, that is nothing found: the other one is not kept waiting.
        """
        found = newest_sent_at is not None
        if not poll.low:
            return msgspec.structs.replace(self, normal_is_empty=not found, yields=False)
        due_at = self.bound_seconds + (asked_at if newest_sent_at is None else min(newest_sent_at, asked_at))
        if not found and poll.wait_seconds < SURE_WAIT_SECONDS:
            due_at = self.due_at  # in passing, a part of the servers was asked
        return msgspec.structs.replace(
            self, due_at=due_at, normal_is_empty=False, low_is_empty=not found, yields=due_at <= now
        )
