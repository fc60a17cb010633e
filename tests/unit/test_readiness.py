"""How long an agent waits for its runtime."""

from __future__ import annotations

import asyncio
from typing import Any

from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.health import Health
from darkroom.agent.readiness import Readiness
from darkroom.errors import RuntimeUnavailable


class Late:
    """A runtime that comes up when it has been asked nine times."""

    fault = None

    def __init__(self) -> None:
        self.asked = 0

    async def check_ready(self) -> None:
        self.asked += 1
        if self.asked < 9:
            raise RuntimeUnavailable("nobody listens there")


async def test_a_runtime_that_is_about_to_answer_is_asked_again_soon_and_one_that_is_away_less_often() -> None:
    runtime: Any = Late()
    incidents: Any = None
    device = Device(Clock(), remaining_seconds=lambda _: None, loaded_model=lambda: None, queues=False)
    health, pauses = Health(), []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    diagnosis = Diagnosis(runtime, device, health, incidents, Clock())
    assert await Readiness(runtime, health, diagnosis, Clock(), asyncio.Event(), pause, 120.0).wait()
    assert pauses[0] <= 0.05
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.5
    assert sum(pauses[:4]) < 1
