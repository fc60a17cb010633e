"""What only one stack can have: its folder, and its ports."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import StackFailure
from darkroom.local.stack_file import read_stack_file
from darkroom.testing.free_port import free_port


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the body of the `with`. Raises `StackFailure` when another stack does."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            running = read_stack_file(folder)
            where = f" at {running.endpoint} (process {running.pid})" if running else ""
            raise StackFailure(f"a stack already runs in {folder}{where}; use it, or stop it with Ctrl-C") from None
        yield


def claimed_port(wanted: int, whose: str, option: str) -> int:
    """Return `wanted`, or a free port for 0. Raises `StackFailure` when somebody listens there."""
    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise StackFailure(
                f"port {wanted}, which {whose} wants, is taken; choose another with {option} (0: any that is free)"
            ) from None
    return wanted
