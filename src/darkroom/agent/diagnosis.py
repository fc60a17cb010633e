"""Whether the runtime is well: asked by a canary, a known-good request of the adapter's own, never by a user's task.

A failure that may be anybody's fault takes the device out of service, right after the task that failed, until the
canary has told. If it fails, what heals the runtime without a restart is tried, and the canary again. If nothing helps,
the runtime is sick: the agent says so in its health, gives back what it holds and takes nothing more until a canary
comes out well.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.health import Health
from darkroom.agent.incidents import Incidents
from darkroom.agent.job import Job
from darkroom.errors import AwsFailure, RuntimeFailure, RuntimeSick
from darkroom.logs import log, logger
from darkroom.policy.diagnosis import Healed, NoCanary, Sick, Verdict, Well, incident_of, tell_whose_fault
from darkroom.policy.failure_streak import FailureStreak
from darkroom.policy.incidents import Incident
from darkroom.runtimes.protocol import Runtime

# From the failure to the verdict, remedies and all: whoever asks for the health must know within a minute.
EXAMINATION_SECONDS = 50.0


@dataclass(frozen=True)
class _Suspicion:
    """What a job's failure led to. `was_well`: the runtime was known to be well before."""

    examination: asyncio.Task[Verdict]
    was_well: bool


class Diagnosis:
    """Finds out about one runtime. `fault` says why only a restart can help, as far as is known."""

    def __init__(self, runtime: Runtime, device: Device, health: Health, incidents: Incidents, clock: Clock) -> None:
        self._runtime = runtime
        self._device = device
        self._health = health
        self._incidents = incidents
        self._clock = clock
        self._streak = FailureStreak()
        self._examination: asyncio.Task[Verdict] | None = None
        self._suspicions: WeakKeyDictionary[Job, _Suspicion] = WeakKeyDictionary()
        self._is_well = False
        self.fault: str | None = None
        # From the verdict that the runtime is sick until a canary comes out well, restarts included.
        self.on_probation = False

    def suspect(self, job: Job) -> None:
        """Take the device out of service, because `job` failed; `judge` waits for what comes of it.

        To be called before anything else can be sent to the runtime.
        """
        was_well, self._is_well = self._is_well, False
        self._suspicions[job] = _Suspicion(self._begin_examination(), was_well)

    def task_succeeded(self) -> None:
        """A task came out well. That is no proof while there is a suspicion: a broken server answers from its cache."""
        if not self.on_probation and (self._examination is None or self._examination.done()):
            self._is_well = True
            self._streak.reset()

    def refuse_if_sick(self) -> None:
        """Raise `RuntimeSick` where nothing may be sent to the runtime."""
        if self.on_probation:
            raise RuntimeSick(f"the runtime is sick: {self.fault or 'it has yet to prove that it is well again'}")

    async def judge(self, job: Job, error: RuntimeFailure) -> RuntimeFailure:
        """Return what a suspicious failure of `job` turns out to be, as soon as the canary has told."""
        if job not in self._suspicions:
            self.suspect(job)
        suspicion = self._suspicions.pop(job)
        verdict = await asyncio.shield(suspicion.examination)
        if isinstance(verdict, NoCanary):
            self._count(job, error)
        incident = incident_of(
            error,
            verdict,
            was_well=suspicion.was_well,
            at=self._clock.now(),
            where=self._incidents.where,
        )
        incidents: list[Incident] = []
        if incident is not None:
            try:
                incidents = await self._incidents.note(job, incident)
            except AwsFailure as failure:
                log(logging.WARNING, "task.incident_not_noted", str(failure), **job.log_fields)
        return tell_whose_fault(error, verdict, incidents)

    async def look_again(self, *, in_doubt: bool) -> None:
        """See whether a sick runtime has become well. Where no canary can tell, `in_doubt` lets tasks try it again."""
        verdict = await asyncio.shield(self._begin_examination())
        if isinstance(verdict, NoCanary) and in_doubt:
            log(logging.WARNING, "runtime.trial", "tasks are to show whether the runtime has recovered")
            self._streak.reset()
            self.on_probation = False
            self._set_fault(None)

    def was_away(self) -> None:
        """The runtime was seen down, so what comes up is a new one; where it was sick, it has to prove to be well."""
        self._streak.reset()
        self._is_well = False
        self._set_fault(None)

    def tell(self) -> None:
        """Bring the agent's health up to date."""
        self._health.runtime_has_fault(self.fault or self._runtime.fault)

    async def close(self) -> None:
        """Give up an examination that is under way."""
        if self._examination is not None:
            self._examination.cancel()
            await asyncio.gather(self._examination, return_exceptions=True)

    def _begin_examination(self) -> asyncio.Task[Verdict]:
        """One that is under way serves everybody: it ends with what the runtime is like after the last job."""
        if self._examination is None or self._examination.done():
            self._device.hold()
            self._examination = asyncio.create_task(self._examine(), name="examination of the runtime")
        return self._examination

    async def _examine(self) -> Verdict:
        try:
            await self._device.quiet.wait()
            try:
                async with asyncio.timeout(EXAMINATION_SECONDS):
                    verdict = await self._ask_and_heal()
            except TimeoutError:
                verdict = Sick(f"it did not come to an end with a known-good request within {EXAMINATION_SECONDS:g} s")
            self._conclude(verdict)
            return verdict
        finally:
            self._device.release()

    async def _ask_and_heal(self) -> Verdict:
        verdict = await self._ask()
        if not isinstance(verdict, Sick):
            return verdict
        log(logging.WARNING, "runtime.canary_failed", verdict.reason)
        for remedy in self._runtime.remedies():
            try:
                if not await remedy.apply():
                    continue
            except RuntimeFailure as error:
                log(logging.WARNING, "runtime.remedy_failed", str(error), remedy=remedy.name)
                continue
            except Exception:
                logger.exception("a fault in the runtime's adapter: its remedy %r", remedy.name)
                continue
            again = await self._ask()
            if isinstance(again, Well):
                return Healed(remedy.name)
        return verdict

    async def _ask(self) -> Well | Sick | NoCanary:
        """Send the canary once."""
        try:
            return Well() if await self._runtime.canary() else NoCanary()
        except RuntimeFailure as error:
            return Sick(f"a known-good request failed too: {error}")
        except Exception:
            logger.exception("a fault in the runtime's adapter: its canary tells nothing")
            return NoCanary()

    def _conclude(self, verdict: Verdict) -> None:
        match verdict:
            case Well() | Healed():
                if isinstance(verdict, Healed):
                    log(logging.WARNING, "runtime.healed", f"the runtime is well again after this: {verdict.remedy}")
                self.on_probation, self._is_well = False, True
                self._set_fault(None)
            case Sick(reason):
                self._give_up(reason)
            case NoCanary():
                pass

    def _count(self, job: Job, error: RuntimeFailure) -> None:
        """Where no canary can tell: after so many failures in a row it is likely the runtime's fault."""
        self._streak.record_failure(job.delivery.submission_id, str(error))
        if self._streak.fault is not None and not self.on_probation:
            self._give_up(self._streak.fault)

    def _give_up(self, reason: str) -> None:
        if not self.on_probation:
            log(logging.ERROR, "runtime.sick", reason)
        self.on_probation = True
        self._set_fault(reason)
        for job in self._device.waiting:
            job.stop(RuntimeSick(f"the runtime is sick: {reason}"))

    def _set_fault(self, reason: str | None) -> None:
        self.fault = reason
        self.tell()
