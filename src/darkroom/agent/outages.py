"""What of AWS is away just now: the agent's bucket, topic, queue or table does not answer, or does not let it in.

Then no task is taken that could not be brought to its end. What has pictures holds them, and its message, and tries
again; what has not begun goes back. An outage begins with an operation that fails, and ends when just that operation
succeeds: repeated by the job that needs it, or, where that job has gone back, by whoever waits here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from darkroom.agent.clock import Clock
from darkroom.agent.health import Health
from darkroom.errors import AwsFailure, AwsUnavailable
from darkroom.logs import log
from darkroom.policy.outcomes import away_seconds

T = TypeVar("T")

# A single fault passes within one try more, and stops nobody.
_SURE_AFTER = 2


@dataclass
class _Outage:
    """Since when, by the monotonic clock; `probe` is what failed, to be tried at `next_look`."""

    since: float
    probe: Callable[[], Awaitable[object]] | None = None
    looks: int = 0
    next_look: float = 0.0


class Outages:
    """The outages of one agent. `on_begin` hears what is away when an outage begins; `health` says so to others."""

    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock
        self._outages: dict[str, _Outage] = {}
        self._repeating: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self.on_begin: Callable[[str], None] = lambda _: None

    def __bool__(self) -> bool:
        """Whether anything is away."""
        return bool(self._outages)

    async def persistently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do something at AWS, and again after growing pauses for as long as AWS is away.

        Raises what is final: `AwsRefused`, `LeaseLost`. Whoever does not want to wait any longer cancels it.
        """
        failed: set[str] = set()
        attempt = 0
        try:
            while True:
                try:
                    result = await operation()
                except AwsUnavailable as error:
                    attempt += 1
                    if _what(error) not in failed:
                        failed.add(_what(error))
                        self._repeating[_what(error)] += 1
                    if attempt >= _SURE_AFTER:
                        self._begin(error)
                    level = logging.WARNING if attempt == 1 else logging.DEBUG  # the outage has lines of its own
                    log(level, "aws.retrying", str(error), attempt=attempt)
                    await self._clock.sleep(away_seconds(attempt, self._clock.chance()))
                else:
                    for what in failed:
                        self._end(what)
                    return result
        finally:
            for what in failed:
                self._repeating[what] -= 1
                outage = self._outages.get(what)
                if outage is not None and not self._repeating[what] and outage.probe is None:
                    self._end(what)  # nobody would ever find out: the next task does

    async def once(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do something at AWS that can be done at any time; if AWS is away, remember it as what to look with.

        Raises what `operation` raises.
        """
        try:
            return await operation()
        except AwsUnavailable as error:
            self._begin(error, operation)
            raise

    def noticed(self, error: AwsUnavailable, probe: Callable[[], Awaitable[object]]) -> None:
        """Remember that AWS is away for something that cannot be repeated; `probe` is as much like it as can be."""
        self._begin(error, probe)

    async def wait(self, stopping: asyncio.Event) -> bool:
        """Return True when nothing is away, False when the agent is to stop first."""
        while self._outages and not stopping.is_set():
            self._changed.clear()
            await self._look()
            if not self._outages:
                break
            looks = [outage.next_look for outage in self._outages.values() if outage.probe is not None]
            timeout = max(0.0, min(looks) - self._clock.monotonic()) if looks else None
            waits = [asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(stopping.wait())]
            try:
                await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        return not stopping.is_set()

    async def _look(self) -> None:
        """Try what failed once more, where it is time to."""
        for what, outage in list(self._outages.items()):
            if outage.probe is None or self._clock.monotonic() < outage.next_look:
                continue
            try:
                await outage.probe()
            except AwsUnavailable as error:
                outage.looks += 1
                outage.next_look = self._clock.monotonic() + away_seconds(outage.looks, self._clock.chance())
                if _what(error) == what:
                    continue
                self._begin(error, outage.probe)
            except AwsFailure:
                pass  # it answers; what it answers is that task's business
            self._end(what)

    def _begin(self, error: AwsUnavailable, probe: Callable[[], Awaitable[object]] | None = None) -> None:
        what = _what(error)
        outage = self._outages.get(what)
        if outage is not None:
            outage.probe = outage.probe or probe
            self._changed.set()
            return
        now = self._clock.monotonic()
        outage = _Outage(now, probe, looks=1, next_look=now + away_seconds(1, self._clock.chance()))
        self._outages[what] = outage
        self._health.aws_went_away(what, str(error))
        log(logging.ERROR, "aws.away", f"{what} fails; no tasks are taken until it succeeds: {error}", what=what)
        self._changed.set()
        self.on_begin(what)

    def _end(self, what: str) -> None:
        outage = self._outages.pop(what, None)
        if outage is None:
            return
        self._health.aws_came_back(what)
        seconds = round(self._clock.monotonic() - outage.since, 1)
        log(logging.INFO, "aws.back", f"{what} succeeds again", what=what, seconds=seconds)
        self._changed.set()


def _what(error: AwsUnavailable) -> str:
    return error.what or str(error)
