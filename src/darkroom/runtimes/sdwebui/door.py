"""What an SD Web UI is doing for us: the request that runs, those that wait at its door, and how one is stopped.

The server takes one request at a time and keeps the others waiting in order. It goes on with a request whose client is
gone, and its interrupt hits whichever request runs. So each request is carried by an asyncio task that outlives whoever
waits for it: that is how we know what the server is doing, and whom an interrupt would hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from darkroom.errors import RuntimeFailure, RuntimeUnavailable
from darkroom.runtimes.body import FilledBody
from darkroom.runtimes.http import Answer, RuntimeHttp
from darkroom.runtimes.memory import Memory
from darkroom.runtimes.protocol import Prepared, Progress
from darkroom.runtimes.sdwebui.errors import failure_of
from darkroom.runtimes.sdwebui.reports import Report, decode_report

QUICK_SECONDS = 5.0
_PROGRESS_PATH = "sdapi/v1/progress"
_INTERRUPT_PATH = "sdapi/v1/interrupt"
_TIMESTAMP_SECONDS = 2.0
_NO_JOB_YET = "0"
# How long to wait for the server to begin what was sent this very moment, and how often to look.
_BEGINNING_SECONDS = 0.25
_BEGINNING_INTERVAL = 0.03


@dataclass(frozen=True)
class Timings:
    """How patient the adapter is, in seconds."""

    progress_interval: float = 1.0
    # Between two interrupts of one generation: one that arrives just before it begins is forgotten.
    interrupt_interval: float = 0.5
    interrupt_patience: float = 15.0


@dataclass
class Job:
    """One request at the server. `previous` is the one in front of it, if that had not ended when this one was sent.

    `stamp` is the server's own time stamp of it, once that was seen. `is_stopping`: it ran when an interrupt came.
    `was_hit`: an interrupt that was meant for the one in front of it came when the server had turned to this one;
    `is_certain` is set while that is no question.
    """

    exchange: asyncio.Task[Answer]
    previous: asyncio.Task[Answer] | None
    is_abandoned: bool = False
    is_interrupted: bool = False
    is_stopping: bool = False
    was_hit: bool = False
    is_certain: asyncio.Event = field(default_factory=asyncio.Event)
    stamp: str | None = None
    stoppers: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.is_certain.set()

    @property
    def has_its_turn(self) -> bool:
        """Whether nothing of ours is in front of it any more."""
        return self.previous is None or self.previous.done()

    async def wait_for_turn(self) -> None:
        """Return when the server turns to it, as far as that can be known from here."""
        previous = self.previous
        if previous is not None:
            await asyncio.wait({previous, self.exchange}, return_when=asyncio.FIRST_COMPLETED)
            if previous.done():  # somebody else may have waited too, and dropped it
                self.previous = None  # it holds its answer, pictures and all


class Door:
    """The server's door. `lost_touch` says that a connection broke, so that nothing is known for certain any more."""

    def __init__(self, http: RuntimeHttp, timings: Timings, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._timings = timings
        self._clock = clock
        self._interrupted_at = float("-inf")
        self._jobs: dict[Prepared, Job] = {}
        self._tells_of_work = True
        # A request of this agent's predecessor may still run.
        self.lost_touch = True

    def find(self, prepared: Prepared) -> Job | None:
        """What was sent for `prepared`, if it is at the server."""
        return self._jobs.get(prepared)

    @property
    def is_idle(self) -> bool:
        """Whether none of our requests is at the server."""
        return not self._jobs

    def send(self, prepared: Prepared, path: str, body: FilledBody, memory: Memory) -> Job:
        """Post `body`; it takes its place behind what was sent before."""
        waiting = [job.exchange for job in self._jobs.values()]
        exchange = asyncio.create_task(self._http.post(path, body, timeout_seconds=None, memory=memory))
        job = self._jobs[prepared] = Job(exchange, waiting[-1] if waiting else None)

        def forget(exchange: asyncio.Task[Answer]) -> None:
            if self._jobs.get(prepared) is job:
                del self._jobs[prepared]
            if exchange.cancelled() or exchange.exception() is not None:
                self.lost_touch = True

        exchange.add_done_callback(forget)
        return job

    async def progress(self) -> Progress | None:
        """How far the running request has come, whoever sent it; None when the server is idle."""
        return (await self._read_report()).told

    async def progress_of(self, job: Job) -> Progress | None:
        """How far one of our requests has come; None where what the server tells may be about another one.

        The server tells of whatever it does, and may have turned to the next request long before the answer to this one
        has come, pictures and all. So while there is another one of ours, only what bears this one's time stamp counts,
        which is learned while there is none. Nobody can tell whether somebody else has the server do something.
        """
        report, is_alone = await self._learn_stamp(job)
        if job.exchange.done() or not job.has_its_turn or self.lost_touch:
            return None
        return report.told if is_alone or report.is_about(job.stamp) else None

    async def learn_whose_turn_it_is(self) -> None:
        """Learn the time stamp of the one job that is at the server, while no other one of ours is.

        To be called before another one is sent: what the server tells afterwards may be about either. What was sent
        this very moment may not have begun, and is waited for, unless the server is one that never says so.
        """
        unknown = [job for job in self._jobs.values() if job.stamp is None]
        if len(self._jobs) != 1 or not unknown or self.lost_touch:
            return
        (job,) = unknown
        until = self._clock() + (_BEGINNING_SECONDS if self._tells_of_work else 0.0)
        with contextlib.suppress(RuntimeFailure):  # then nothing is told of it while the other one is there
            while not (await self._learn_stamp(job))[0].is_busy and not job.exchange.done():
                if self._clock() >= until:
                    self._tells_of_work = False
                    return
                await asyncio.wait({job.exchange}, timeout=_BEGINNING_INTERVAL)

    async def _learn_stamp(self, job: Job) -> tuple[Report, bool]:
        """What the server tells, and whether that can only be about this job; then its stamp is learned."""
        was_alone = self._is_alone(job)
        report = await self._read_report()
        is_alone = was_alone and self._is_alone(job)
        if report.is_busy:
            self._tells_of_work = True
            if is_alone:  # idle, it tells of the last one
                job.stamp = report.stamp
        return report, is_alone

    def _is_alone(self, job: Job) -> bool:
        return all(other is job for other in self._jobs.values())

    async def is_new(self) -> bool:
        """Whether the server has had no job since it started."""
        return (await self._read_report()).stamp == _NO_JOB_YET

    async def was_interrupted_by_others(self, job_timestamp: str) -> bool:
        """Whether somebody else interrupted the last request, if that is the one of `job_timestamp`.

        A single picture that was interrupted is sent like a finished one, so the server's state is all there is to tell
        by; it is gone when the next request begins. Its timestamps are in seconds: too coarse to look closely for a
        while after an interrupt of ours.
        """
        if self._jobs or self._clock() - self._interrupted_at < _TIMESTAMP_SECONDS:
            return False
        try:
            report = await self._read_report()
        except RuntimeFailure:
            return False
        return report.was_interrupted and report.is_about(job_timestamp) and not report.is_busy

    async def _read_report(self) -> Report:
        answer = await self._http.get(_PROGRESS_PATH, timeout_seconds=QUICK_SECONDS, skip_current_image="true")
        if answer.status != 200:
            raise failure_of(answer, _PROGRESS_PATH)
        return decode_report(answer.body)

    async def stop(self, job: Job) -> None:
        """Interrupt until the request is answered, or patience ends. Only for a job that has its turn."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timings.interrupt_patience):
                while not job.exchange.done():
                    await self._interrupt_only(job)
                    await asyncio.wait({job.exchange}, timeout=self._timings.interrupt_interval)

    async def stop_in_turn(self, job: Job) -> None:
        """Stop a job when the server turns to it."""
        await job.wait_for_turn()
        await self.stop(job)

    async def stop_leftovers(self) -> None:
        """See that nothing runs that nobody waits for: what comes next would queue behind it."""
        for job in [job for job in self._jobs.values() if job.is_abandoned]:
            await self.stop_in_turn(job)
        if not self.lost_touch or self._jobs:
            return
        with contextlib.suppress(TimeoutError, RuntimeFailure):
            async with asyncio.timeout(self._timings.interrupt_patience):
                while await self.progress() is not None:
                    await self._interrupt()
                    await asyncio.sleep(self._timings.interrupt_interval)
            self.lost_touch = False

    async def wait_for_all(self) -> None:
        """Return when the server has answered everything."""
        exchanges = {job.exchange for job in self._jobs.values()}
        if exchanges:
            await asyncio.wait(exchanges)

    async def close(self) -> None:
        """Let go of requests that nobody waits for any more."""
        tasks = [task for job in self._jobs.values() for task in (job.exchange, *job.stoppers)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _interrupt(self) -> bool:
        """Interrupt whatever runs, and return whether the server has heard it."""
        self._interrupted_at = self._clock()
        try:
            return (await self._http.post(_INTERRUPT_PATH, b"", timeout_seconds=QUICK_SECONDS)).status == 200
        except RuntimeUnavailable:
            return False

    def _behind(self, job: Job) -> Job | None:
        return next((other for other in self._jobs.values() if other.previous is job.exchange), None)

    async def _interrupt_only(self, job: Job) -> None:
        """Interrupt a job, and not the one of ours behind it, which the server may have turned to by now.

        It may turn to that one in the very moment: then that one is marked, and has to be done again. Two that have
        begun in one second have the same stamp: so what ran when an interrupt came is not interrupted once more.
        """
        if job.is_stopping and self._behind(job) is not None:
            return
        runs = False
        with contextlib.suppress(RuntimeFailure):
            report = await self._read_report()
            if job.exchange.done() or (self._behind(job) is not None and report.is_about_another_than(job.stamp)):
                return  # its answer is on its way
            runs = report.is_busy
        behind = self._behind(job)
        if behind is None:
            job.is_stopping |= await self._interrupt() and runs
            return
        behind.is_certain.clear()
        try:
            job.is_stopping |= await self._interrupt() and runs
            with contextlib.suppress(RuntimeFailure):
                report = await self._read_report()
                if report.was_interrupted and report.is_about_another_than(job.stamp):
                    behind.was_hit = True
        finally:
            behind.is_certain.set()
