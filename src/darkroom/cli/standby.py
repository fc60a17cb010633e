"""`python -m darkroom.cli.standby SERVER`: loads a server while what it works with is still being made.

Loading takes most of a server's start. So `darkroom up` starts them all at once. When topics and queues are there, it
writes the environment to their standard input, and each goes on as `darkroom SERVER` begins.
"""

from __future__ import annotations

from darkroom.cli.interrupts import as_usual, end_at_once

end_at_once()


def main() -> int:
    """Load the server that is named, wait for its environment, and run it. Returns its exit code."""
    import contextlib
    import json
    import os
    import sys

    from darkroom.cli.main import COMMANDS, load
    from darkroom.cli.main import main as run
    from darkroom.errors import MissingExtra

    name = sys.argv[1]
    with contextlib.suppress(MissingExtra):  # it says so when it is run
        load(name, COMMANDS[name])
    told = sys.stdin.buffer.read()
    if not told:
        return 0  # whoever started it has ended
    os.environ.clear()
    os.environ.update(json.loads(told))
    return run([name], begin=as_usual)


if __name__ == "__main__":
    raise SystemExit(main())
