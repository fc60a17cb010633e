"""The core of both clients, with a clock, chance and keys that are real."""

from __future__ import annotations

import random
import time
import uuid

from darkroom.client.core import Core

DEFAULT_RETRIES = 6


def make_core(endpoint: str, retries: int, caller: str | None = None) -> Core:
    """The calls to the front door at `endpoint`, each sent again at most `retries` times; `caller`: see `Core`."""
    return Core(
        endpoint,
        retries=retries,
        clock=time.monotonic,
        random=random.random,
        new_key=lambda: str(uuid.uuid4()),
        caller=caller,
    )
