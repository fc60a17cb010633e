"""A fault in a runtime's adapter costs what it was asked for, and not the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.health import Health
from darkroom.agent.readiness import Readiness
from darkroom.errors import GenerationFailed
from darkroom.runtimes.protocol import Remedy


class Faulty:
    """A runtime whose adapter stumbles over the first answer to each question."""

    fault = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def check_ready(self) -> None:
        self._stumble("ready?")

    async def canary(self) -> bool:
        self.asked.append("canary")
        if "second remedy" not in self.asked:
            raise GenerationFailed("sick")
        return True

    def remedies(self) -> Sequence[Remedy]:
        return [Remedy("first remedy", self._first), Remedy("second remedy", self._second)]

    async def _first(self) -> bool:
        self._stumble("first remedy")
        return False

    async def _second(self) -> bool:
        self.asked.append("second remedy")
        return True

    def _stumble(self, question: str) -> None:
        self.asked.append(question)
        if self.asked.count(question) == 1:
            raise KeyError("an answer of another shape")


def parts(runtime: Any) -> tuple[Diagnosis, Health]:
    incidents: Any = None
    device = Device(Clock(), remaining_seconds=lambda _: None, loaded_model=lambda: None, queues=False)
    health = Health()
    return Diagnosis(runtime, device, health, incidents, Clock()), health


async def test_an_agent_waits_on_when_the_runtime_answers_in_a_shape_that_its_adapter_does_not_know() -> None:
    runtime: Any = Faulty()
    diagnosis, health = parts(runtime)

    async def pause(_: float) -> None:
        assert "another shape" in health.runtime_reason

    readiness = Readiness(runtime, health, diagnosis, Clock(), asyncio.Event(), pause, 120.0)
    assert await readiness.wait()
    assert runtime.asked == ["ready?", "ready?"]


async def test_a_remedy_with_a_fault_does_not_keep_the_next_one_from_healing() -> None:
    runtime = Faulty()
    diagnosis, health = parts(runtime)
    await diagnosis.look_again(in_doubt=False)
    assert runtime.asked == ["canary", "first remedy", "second remedy", "canary"]
    assert health.live
