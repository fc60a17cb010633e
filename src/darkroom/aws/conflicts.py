"""Writes that meet another one of the same item: while a transaction is under way, Amazon DynamoDB refuses one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from darkroom.aws.errors import Conflict

T = TypeVar("T")

# Each is over within some milliseconds, as long as asking again takes.
_MOST = 5


async def through_conflicts(write: Callable[[], Awaitable[T]]) -> T:
    """Do `write`, and again where it met another one. Raises `Conflict` where that was always so."""
    for _ in range(_MOST):
        with suppress(Conflict):
            return await write()
    return await write()
