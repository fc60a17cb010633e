"""Whether a task has waited too long to be begun: a pure decision. Times are seconds since 1970."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from darkroom.policy.telling import told_tries


def why_too_late(
    *, now: float, submitted_at: float, most_seconds: float | None, deadline: float | None, tries: int
) -> str | None:
    """Why a task is not to be begun at `now`, for whoever sent it; None where it may be.

    `most_seconds` is how long tasks may wait in the queue, `deadline` what this one's caller has set, `tries` how often
    it was tried before.
    """
    if deadline is not None and now > deadline:
        at = datetime.fromtimestamp(deadline, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        began = f"{told_tries(tries)}, and no other try began" if tries else "did not begin"
        return f"{began} by its deadline, {at}"
    waited = now - submitted_at
    if most_seconds is not None and waited > most_seconds:
        return f"waited {waited:.0f} s in the queue; the limit is {most_seconds:g} s"
    return None


def pause_before(deadline: float | None, delay_seconds: int, now: float) -> int:
    """How long a task that is to be tried after `delay_seconds` waits: not beyond its deadline, when it expires."""
    return delay_seconds if deadline is None else max(0, min(delay_seconds, math.ceil(deadline - now)))
