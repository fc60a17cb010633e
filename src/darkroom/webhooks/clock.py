"""Time and chance, passed in so that tests decide them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """`now` is seconds since 1970, `monotonic` seconds since some moment; `chance` is a random number from 0 to 1."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
