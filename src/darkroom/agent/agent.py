"""The queue agent: its main loop, and its end.

`run` fetches messages, and decides when: a message that would only wait here is left to agents that are idle. What it
does with each is `darkroom.agent.pipeline`, in a coroutine of the message's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from darkroom.agent.aftermath import Aftermath, AwsAway, ShuttingDown, TooEarly
from darkroom.agent.device import Device
from darkroom.agent.diagnosis import Diagnosis
from darkroom.agent.fetching import Fetched, Fetching
from darkroom.agent.generating import INTERRUPT_SECONDS, Generating
from darkroom.agent.heartbeats import Work
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.pace import Pace
from darkroom.agent.parts import AgentParts
from darkroom.agent.pipeline import Pipeline
from darkroom.agent.readiness import Readiness
from darkroom.errors import DarkroomError
from darkroom.logs import log, logger

SECONDS_TO_GIVE_BACK = 2 * INTERRUPT_SECONDS


class Agent:
    """One agent beside one runtime. `run` works until `stop` is called."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._stopping = asyncio.Event()
        self._pace = Pace()
        self._device = Device(
            parts.clock,
            remaining_seconds=self._pace.remaining_seconds,
            loaded_model=lambda: parts.runtime.loaded_model,
            queues=parts.runtime.queues,
            most_overtakes=parts.most_overtakes,
        )
        self._fetching = Fetching(
            queue=parts.queue,
            low_queue=parts.low_queue,
            low_bound_seconds=parts.low_bound_seconds,
            device=self._device,
            pace=self._pace,
            budget=parts.budget,
            health=parts.health,
            clock=parts.clock,
            stopping=self._stopping,
            give_back=self._give_back_early,
            visibility_seconds=parts.visibility_seconds,
            wait_seconds=parts.receive_wait_seconds,
            model_window=parts.model_window,
        )
        self._diagnosis = Diagnosis(parts.runtime, self._device, parts.health, parts.incidents, parts.clock)
        self._readiness = Readiness(
            parts.runtime,
            parts.health,
            self._diagnosis,
            parts.clock,
            self._stopping,
            self._fetching.pause,
            parts.trial_seconds,
        )
        self._outages = parts.outages
        self._outages.on_begin = self._give_back_unbegun
        self._handlers: set[asyncio.Task[None]] = set()
        self._aftermath = Aftermath(
            parts.settlement,
            parts.records,
            parts.copies,
            parts.outages,
            parts.clock,
            self._stopping,
            parts.intake.tries,
            parts.metrics,
        )
        self._generating = Generating(parts, self._device, self._diagnosis, self._pace, self._stopping)
        self._pipeline = Pipeline(
            parts,
            self._generating,
            self._diagnosis,
            self._aftermath,
            self._pace,
            self._stopping,
            has_arrived=self._has_arrived,
            start=self._start,
        )
        parts.metrics.watch(lambda: self._device.busy_seconds, lambda: len(self._pipeline.jobs))

    async def run(self) -> None:
        """Wait for the runtime, then work until told to stop, and return when nothing is held any more."""
        async with self._parts.heartbeats.beating(self._work, self._stopping), self._sweeping():
            while not self._stopping.is_set():
                if not await self._is_ready() or not await self._outages.wait(self._stopping):
                    break
                for fetched in await self._fetching.next_messages():
                    lease = self._lease(fetched)
                    if self._stopping.is_set():
                        await self._aftermath.hand_back(lease)
                    elif self._outages:
                        later = self._aftermath.hand_back_for_later(lease)
                        self._start(later, f"message {fetched.message.message_id}")
                    else:
                        self._receive(lease)
            while self._handlers:
                await asyncio.wait(self._handlers)
            await self._diagnosis.close()

    def _work(self) -> Work:
        """What the agent does just now."""
        return Work(
            in_work=len(self._pipeline.jobs),
            busy_seconds=self._device.busy_seconds,
            model=self._pipeline.model or self._parts.runtime.loaded_model,
            models=tuple(self._parts.runtime.models),
            service_seconds=self._pace.run_seconds,
            head_sent_at=self._generating.head_sent_at,
        )

    async def _is_ready(self) -> bool:
        """Wait for the runtime; False where the agent is to stop first, for which no answer of a runtime is waited."""
        ready = asyncio.create_task(self._readiness.wait(), name="readiness")
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            return ready.done() and ready.result() and not self._stopping.is_set()
        finally:
            ready.cancel()
            stopped.cancel()
            await asyncio.gather(ready, stopped, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _sweeping(self) -> AsyncIterator[None]:
        """Look after the dead letters for the body of the `async with`."""
        if self._parts.sweep is None:
            yield
            return
        sweeping = asyncio.create_task(self._parts.sweep.run(self._stopping), name="sweep")
        try:
            yield
            await asyncio.wait((sweeping,), timeout=INTERRUPT_SECONDS)  # so that no letter is left held
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def stop(self, grace_seconds: float) -> None:
        """Stop receiving; give back what waits; finish what runs if it ends in time, else give it back.

        In time is `SECONDS_TO_GIVE_BACK` before the end of `grace_seconds`.

        Returns when nothing is held any more.
        """
        log(logging.INFO, "agent.stopping", "told to stop", held=len(self._pipeline.jobs))
        self._stopping.set()
        self._device.changed.set()
        for arrival in list(self._pipeline.arrivals):
            arrival.stop(ShuttingDown("the agent was told to stop"))
        self._stop_unbegun(ShuttingDown("the agent was told to stop"))
        # What is left of the grace is for interrupting the runtime and giving the message back.
        last_part = min(grace_seconds, SECONDS_TO_GIVE_BACK)
        for_the_task = grace_seconds - last_part
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=for_the_task)
        for job in list(self._pipeline.jobs):
            job.stop(ShuttingDown(f"the agent was told to stop, and the task did not end within {for_the_task:g} s"))
        if self._handlers:
            _, late = await asyncio.wait(self._handlers, timeout=SECONDS_TO_GIVE_BACK)
            for handler in late:
                handler.cancel()

    def _give_back_unbegun(self, what: str) -> None:
        """Leave to other agents what could not be brought to its end here, and keep what has begun."""
        self._stop_unbegun(AwsAway(f"{what} fails; the task has not begun"))

    def _stop_unbegun(self, reason: DarkroomError) -> None:
        for job in list(self._pipeline.jobs):
            if not self._device.is_at_runtime(job) and not job.was_run and not job.settling:
                job.stop(reason)

    async def _give_back_early(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.stop(TooEarly("another agent may begin it sooner"))
        if ends := [job.activity for job in jobs if job.activity is not None]:
            await asyncio.wait(ends, timeout=INTERRUPT_SECONDS)

    def _receive(self, lease: Lease) -> None:
        received_at = self._clock.monotonic()
        self._fetching.arrives(lease)
        self._start(self._pipeline.handle(lease, received_at), f"message {lease.message.message_id}")

    def _start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        handler = asyncio.create_task(coroutine, name=name)
        self._handlers.add(handler)
        handler.add_done_callback(self._handler_ended)

    def _lease(self, fetched: Fetched) -> Lease:
        now = self._clock.monotonic()
        return Lease(fetched.queue, fetched.message, self._parts.visibility_seconds, self._clock, now)

    def _handler_ended(self, handler: asyncio.Task[None]) -> None:
        self._handlers.discard(handler)
        if not handler.cancelled() and handler.exception() is not None:
            logger.error("a fault in Darkroom; the message comes back by itself", exc_info=handler.exception())

    def _has_arrived(self, lease: Lease) -> None:
        """Count the message no longer as one that gets ready: it waits for the device, or has come to an end."""
        self._fetching.has_arrived(lease)
        self._device.changed.set()
