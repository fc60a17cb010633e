"""Waits until the programs of a stack that starts answer, and says meanwhile what takes so long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from darkroom.errors import StackFailure
from darkroom.local.supervisor import Supervisor
from darkroom.testing.answering import answers

_PAUSE_SECONDS = 0.05
# Between two times that somebody is told; it doubles.
_TOLD_AFTER_SECONDS, _TOLD_EVERY_SECONDS = 10.0, 60.0


@dataclass(frozen=True)
class Awaited:
    """A program that is to answer at `url`.

    `behind` is the program that it waits for itself, if there is one: its log says what is done. `limit_seconds` is how
    long it may take; None: for as long as nothing dies.
    """

    name: str
    url: str
    limit_seconds: float | None
    behind: str | None = None


async def wait_for(
    awaited: Awaited,
    supervisor: Supervisor,
    tell: Callable[[str], None],
    told_after_seconds: float = _TOLD_AFTER_SECONDS,
) -> None:
    """Return when it answers. Raises `StackFailure` when it takes too long, or a program has died meanwhile."""
    loop = asyncio.get_running_loop()
    began_at = told_at = loop.time()
    while not await asyncio.to_thread(answers, awaited.url):
        if supervisor.lost.done():
            raise StackFailure(supervisor.lost.result())
        now = loop.time()
        name = awaited.behind or awaited.name
        if awaited.limit_seconds is not None and now - began_at > awaited.limit_seconds:
            raise StackFailure(
                f"{name} did not get ready within {awaited.limit_seconds:g} s; its log: {supervisor.log_path(name)}"
            )
        if now - told_at >= told_after_seconds:
            told_at, told_after_seconds = now, min(2 * told_after_seconds, _TOLD_EVERY_SECONDS)
            tell(f"{name} is not ready yet, after {now - began_at:.0f} s: {_said(supervisor, name)}")
        await asyncio.sleep(_PAUSE_SECONDS)


def _said(supervisor: Supervisor, name: str) -> str:
    """The last thing that the log says in words, and where it stands."""
    path = supervisor.log_path(name)
    for line in reversed(supervisor.last_lines(name)):
        try:
            return f"{json.loads(line)['message']} (log: {path})"
        except (ValueError, LookupError, TypeError):
            continue  # not of Darkroom's own
    return f"see {path}"
