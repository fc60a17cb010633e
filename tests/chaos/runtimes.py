"""The runtimes of a chaos run: fakes that crash, hang and lie, and come back as a cluster would bring them back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from tests.chaos.plan import MODELS, ChaosPlan, runtime_faults

_PICTURE_BYTES = 1500
_MEMORY_PIXELS = 2048 * 2048
_VERSIONS = ("1.8.0", "1.10.1")
# After these, nothing but a restart helps; a cluster sees it by its probes after a while.
_NEEDS_RESTART = (SdWebuiFault.CRASH, SdWebuiFault.DEAF, SdWebuiFault.DEVICE_LOST)


class UnreliableRuntime:
    """One fake SD Web UI; `keep` restarts it some time after a fault that nothing else can heal.

    `begun` gets the time at which the last generation with a seed began, in seconds since 1970.
    """

    def __init__(
        self,
        plan: ChaosPlan,
        number: int,
        is_calm: Callable[[], bool],
        counts: Counter[str],
        struck: set[object],
        begun: dict[int, float],
    ) -> None:
        self._chance = plan.stream(f"restarts {number}")
        self._counts = counts
        self._broken = asyncio.Event()
        draw = runtime_faults(plan, number, is_calm, struck)

        def fault_for(body: dict[str, Any]) -> SdWebuiFault | None:
            begun[body.get("seed", -1)] = time.time()
            fault = draw(body)
            if fault is not None:
                counts[fault.value] += 1
            if fault in _NEEDS_RESTART:
                self._broken.set()
            return fault

        self.server = FakeSdWebui(
            models=MODELS,
            latency_seconds=plan.latency_seconds,
            switch_seconds=plan.latency_seconds / 2,
            plain_bytes=_PICTURE_BYTES,
            fault_for=fault_for,
            version=_VERSIONS[number % len(_VERSIONS)],
            memory_pixels=_MEMORY_PIXELS,
        )

    async def keep(self) -> None:
        """Restart it whenever it is broken; never returns."""
        while True:
            await self._broken.wait()
            await asyncio.sleep(self._chance.uniform(0.5, 3.0))
            self._broken.clear()
            with suppress(ConnectionError):
                await self.server.crash()
            await self.server.start()
            self._counts["runtime restarts"] += 1
