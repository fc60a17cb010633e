"""Ten thousand dead letters: each is seen once in a look, with bounded memory and few calls. Time is simulated."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.intake import Unreadable
from darkroom.agent.spans import NoSpans
from darkroom.agent.sweep import Sweep
from darkroom.aws.queue import QueueAttributes, ReceivedMessage
from darkroom.errors import UnreadableMessage

LETTERS = 10_000
SILENT = ("00017", "05000", "09999")


class SimulatedSqs:
    """A queue of dead letters that hands out visible ones at random, ten in 30 ms, and counts what is asked of it."""

    def __init__(self, letters: int, tick: float) -> None:
        self.now = 0.0
        self.hidden_until = {f"{number:05}": 0.0 for number in range(letters)}
        self.calls: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._tick = tick
        self._order = list(self.hidden_until)
        random.Random(7).shuffle(self._order)

    async def read_attributes(self) -> QueueAttributes:
        return QueueAttributes(visibility_timeout_seconds=30, visible=len(self.hidden_until), in_flight=0)

    async def receive(self, *, maximum: int, wait_seconds: int, visibility_seconds: int) -> list[ReceivedMessage]:
        self.calls["receive"] += 1
        self.now += self._tick
        found = []
        for _ in range(len(self._order)):
            letter = self._order.pop(0)
            self._order.append(letter)
            if letter in self.hidden_until and self.hidden_until[letter] <= self.now:
                found.append(letter)
                self.hidden_until[letter] = self.now + visibility_seconds
                if len(found) == maximum:
                    break
        self.seen.update(found)
        return [self._message(letter) for letter in found]

    async def show(self, receipt_handles: Sequence[str]) -> None:
        self.calls["show"] += 1
        assert 0 < len(receipt_handles) <= 10
        for letter in receipt_handles:
            self.hidden_until[letter] = 0.0

    async def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        self.hidden_until[receipt_handle] = self.now + seconds

    def _message(self, letter: str) -> ReceivedMessage:
        return ReceivedMessage(
            body="",
            message_id=letter,
            receipt_handle=letter,
            received=1,
            sent_at=0.0,
            attributes={} if letter in SILENT else {"dead_letter_type": "x"},
        )


class Ends:
    """Stands for intake and settlement: whatever is read is unreadable, and told of."""

    def __init__(self, sqs: SimulatedSqs) -> None:
        self._sqs = sqs
        self.told: list[str] = []

    async def read(self, lease: Any) -> Any:
        return Unreadable(UnreadableMessage("x"), lease.message.message_id, submitted_at=0.0)

    async def bury_unreadable(self, lease: Any, unreadable: Any) -> None:
        self.told.append(lease.message.message_id)
        del self._sqs.hidden_until[lease.message.message_id]


@pytest.mark.parametrize(("letters", "tick"), [(LETTERS, 0.03), (LETTERS, 0.2), (25_000, 0.03)])
async def test_every_letter_is_seen_once_and_given_back(letters: int, tick: float) -> None:
    sqs = SimulatedSqs(letters, tick)
    ends = Ends(sqs)
    stopping = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await asyncio.Event().wait()

    sweep = Sweep(
        sqs,  # type: ignore[arg-type]
        ends,  # type: ignore[arg-type]
        ends,  # type: ignore[arg-type]
        queue=sqs,  # type: ignore[arg-type]  # neither is needed for what is unreadable
        copies=ends,  # type: ignore[arg-type]
        maximum_receives=6,
        visibility_seconds=30.0,
        pause_seconds=0.001,
        clock=Clock(now=lambda: 0.0, monotonic=lambda: sqs.now, sleep=sleep, chance=lambda: 0.5),
        spans=NoSpans(),
    )
    run = asyncio.create_task(sweep.run(stopping))
    async with asyncio.timeout(60):
        while sqs.calls["show"] < min(letters, 10_000) // 10 - 1:  # noqa: ASYNC110 - the end of the first look
            await asyncio.sleep(0.01)
    stopping.set()
    await run
    assert sorted(ends.told) == sorted(SILENT)
    assert set(sqs.seen.values()) == {1}
    assert len(sqs.seen) == letters
    assert sqs.calls["receive"] == letters // 10 + 1
    hidden = [letter for letter, until in sqs.hidden_until.items() if until > sqs.now]
    # What is remembered is bounded; the others come back by themselves, soon.
    assert len(hidden) <= max(0, letters - 10_000)
    assert all(sqs.hidden_until[letter] - sqs.now <= 0.05 * letters for letter in hidden)
