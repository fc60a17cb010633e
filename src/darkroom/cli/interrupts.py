"""What Ctrl-C does before a command begins, and after. Nothing large is imported here: it is needed first of all."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def end_at_once() -> None:
    """Let Ctrl-C end the process without a word, until `as_usual`.

    While libraries are imported there is nothing to tidy up, and an interruption within an import would end as a
    traceback, or in somebody else's `except`. Whoever starts the process with the signal ignored, as a shell in the
    background does, keeps it so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def as_usual() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again: from here on there is something to tidy up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
