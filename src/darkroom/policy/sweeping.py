"""When to look through the dead letters for some that nobody was told of, and how: pure decisions.

SQS has no filter: to find one letter that nobody was told of, every letter has to be received, and is hidden from
others for a moment. So they are looked through when their number has changed, less and less often while it stays the
same and nothing is found, and for a small part of the time only: however many there are, they cost little.
"""

from __future__ import annotations

import msgspec

LONGEST_PAUSE_SECONDS = 3600.0
# SQS hands out ten letters in some hundredths of a second. A letter is hidden for more than ten times as long, for it
# must not come back before the last one was seen, or some would be seen twice and others never. And nobody looks again
# for as long.
_SECONDS_PER_LETTER = 0.05
_SHORTEST_HIDDEN_SECONDS = 60.0
_LONGEST_HIDDEN_SECONDS = 43200.0  # Amazon SQS
# SQS hands out nothing more while 120,000 are hidden, to nobody.
MOST_LETTERS = 100_000


class Looked(msgspec.Struct, frozen=True):
    """What was seen last: how many letters there were, and until when nobody need look while there are as many.

    `pause_seconds` is how long that was; until `resting_until` nobody looks, whatever there is. Times are by a
    monotonic clock.
    """

    count: int = 0
    until: float = 0.0
    pause_seconds: float = 0.0
    resting_until: float = 0.0


def is_due(last: Looked, count: int, now: float) -> bool:
    """Whether to look through `count` letters."""
    return count > 0 and now >= last.resting_until and (count != last.count or now >= last.until)


def hidden_seconds(count: int) -> float:
    """For how long each of `count` letters is hidden while they are looked through."""
    return min(_LONGEST_HIDDEN_SECONDS, max(_SHORTEST_HIDDEN_SECONDS, count * _SECONDS_PER_LETTER))


def after_look(last: Looked, count: int, found: int, now: float, pause_seconds: float) -> Looked:
    """What to remember of a look that has found `found` letters to tell of; `pause_seconds` is the shortest pause."""
    fruitless_again = count == last.count and not found
    pause = min(LONGEST_PAUSE_SECONDS, last.pause_seconds * 2) if fruitless_again else pause_seconds
    rest = min(LONGEST_PAUSE_SECONDS, count * _SECONDS_PER_LETTER)
    return Looked(count, now + pause, pause, now + rest)
