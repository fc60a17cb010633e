"""When to look through the dead letters for some that nobody was told of: a pure decision.

Looking hides letters from others for a moment, so they are looked through when their number has changed, and less and
less often while it stays the same and nothing is found.
"""

from __future__ import annotations

import msgspec

LONGEST_PAUSE_SECONDS = 3600.0


class Looked(msgspec.Struct, frozen=True):
    """What was seen last: how many letters there were, and until when nobody need look while there are as many.

    `pause_seconds` is how long that was. Times are by a monotonic clock.
    """

    count: int = 0
    until: float = 0.0
    pause_seconds: float = 0.0


def is_due(last: Looked, count: int, now: float) -> bool:
    """Whether to look through `count` letters."""
    return count > 0 and (count != last.count or now >= last.until)


def after_look(last: Looked, count: int, found: int, now: float, pause_seconds: float) -> Looked:
    """What to remember of a look that has found `found` letters to tell of; `pause_seconds` is the shortest pause."""
    fruitless_again = count == last.count and not found
    pause = min(LONGEST_PAUSE_SECONDS, last.pause_seconds * 2) if fruitless_again else pause_seconds
    return Looked(count, now + pause, pause)
