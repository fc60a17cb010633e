"""The entry point of the process: from its first moment on, Ctrl-C ends it with one exit code and no traceback."""

from __future__ import annotations

from darkroom.cli.interrupts import INTERRUPTED, as_usual, end_at_once

end_at_once()


def main() -> int:
    """Run the command line and return its exit code."""
    from darkroom.cli.main import main as run

    try:
        return run(begin=as_usual)
    except KeyboardInterrupt:
        return INTERRUPTED
