"""Many dead letters put back side by side: for a process with an event loop, which AWS Lambda's has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from darkroom.aws.dead_letters import HeldLetters
from darkroom.aws.queue import BATCH
from darkroom.policy.dead_letters import DeadLetter


async def redrive_each(
    held: HeldLetters, letters: Sequence[DeadLetter], *, force: bool, done: Callable[[DeadLetter, str], None]
) -> None:
    """Redrive letters side by side; `done` hears of each with its new submission id. Raises the first failure."""

    async def one(letter: DeadLetter) -> None:
        done(letter, await held.redrive(letter, force=force))

    for start in range(0, len(letters), BATCH):
        results = await asyncio.gather(
            *(one(letter) for letter in letters[start : start + BATCH]), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
