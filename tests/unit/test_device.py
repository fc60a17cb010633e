"""Turns on the device."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from darkroom.agent.clock import Clock
from darkroom.agent.device import Device


async def test_a_turn_ends_well_though_the_next_in_line_was_cancelled_just_before() -> None:
    """The one who waited has not yet woken to leave the line when it is called."""
    device = Device(Clock(), remaining_seconds=lambda _: None, loaded_model=lambda: None, queues=False)
    first, second, third = (cast(Any, SimpleNamespace(prepared=None, overtaken=0)) for _ in range(3))
    had_turn = []

    async def wait_for_turn(job: Any) -> None:
        async with device.turn(job):
            had_turn.append(job)

    async with device.turn(first):
        waiting = [asyncio.create_task(wait_for_turn(job)) for job in (second, third)]
        while len(device.waiting) < 2:  # noqa: ASYNC110 - no event says that both wait
            await asyncio.sleep(0)
        waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert had_turn == [third]
    assert device.is_idle
    assert device.held == 0
