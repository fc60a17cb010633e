"""The entry point of the process: from its first moment on, Ctrl-C ends it with one exit code and no traceback.

While libraries are imported there is nothing to tidy up, and an interruption within an import would end as a traceback,
or in somebody else's `except`. So until the command begins, the process simply ends.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


# Whoever starts the process with the signal ignored, as a shell in the background does, keeps it so.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)


def _as_usual() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again: from here on there is something to tidy up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Run the command line and return its exit code."""
    from darkroom.cli.main import main as run

    try:
        return run(begin=_as_usual)
    except KeyboardInterrupt:
        return INTERRUPTED
