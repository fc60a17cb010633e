"""Several questions to a table: one after another here, and all at once in `darkroom.aws.connection`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

# What a question to an index brings: where each item stands there, and its primary key.
Positions = list[tuple[str, str]]
Questions = Iterable[Coroutine[Any, Any, Positions]]
Together = Callable[[Questions], Awaitable[list[Positions]]]


async def one_after_another(questions: Questions) -> list[Positions]:
    """Await each question in turn: where nothing ever suspends, there is no other way."""
    return [await question for question in questions]
