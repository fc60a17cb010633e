"""Lets a background training give way to a benchmark on the same machine."""

from __future__ import annotations

import os
import time
from pathlib import Path


def wait_while_quiet() -> float:
    """Wait while the file that the environment variable QUIET_FILE names exists; seconds waited."""
    name = os.environ.get("QUIET_FILE")
    began = time.monotonic()
    while name and Path(name).exists():
        time.sleep(1)
    return time.monotonic() - began
