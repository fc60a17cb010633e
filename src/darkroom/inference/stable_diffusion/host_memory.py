"""How much of the host's memory is free, within what the container may have."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)
#: Pages of files, which the kernel gives back when they are needed, count as used there.
_REUSABLE = re.compile(r"^inactive_file (\d+)", re.MULTILINE)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can still be taken. `root` is where /proc and /sys lie."""
    try:
        found = _AVAILABLE.search((root / "proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        found = None
    # Where no kernel tells, trying is the only way to know.
    available = int(found.group(1)) * 1024 if found is not None else sys.maxsize
    group = root / "sys/fs/cgroup"
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        reusable = _REUSABLE.search((group / "memory.stat").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return available  # no container, or version 1 of control groups
    if limit == "max":
        return available
    return max(0, min(available, int(limit) - used + (int(reusable.group(1)) if reusable is not None else 0)))
