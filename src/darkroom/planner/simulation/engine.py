"""The simulation itself: tasks arrive, agents do them, controllers move pods and nodes.

KEDA and the autoscaler look at the queue in their own rhythms; where nothing is there to look at, they sleep, and wake
in step. All chance comes from one seed.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from darkroom.planner.simulation.agents import Agents, Work
from darkroom.planner.simulation.hpa import Autoscaler
from darkroom.planner.simulation.keda import Activation
from darkroom.planner.simulation.parts import Phase, Pod
from darkroom.planner.simulation.results import BINS_PER_E, OFFSET, SHORTEST, Outcome
from darkroom.planner.simulation.settings import Settings
from darkroom.planner.simulation.shared_pool import SharedPool
from darkroom.planner.simulation.timeline import follow

HOUR = 3600.0


def simulate(work: Work, settings: Settings, seed: int = 1, until: float | None = None) -> Outcome:
    """Run until all tasks are done and all nodes gone, or until so many seconds have passed."""
    return RuntimeRun(work, settings, seed, until).run()


class RuntimeRun(Agents):
    """One runtime: its queue, agents and controllers, on nodes of its own or on those of a pool that others use too."""

    def __init__(
        self, work: Work, settings: Settings, seed: int, until: float | None, shared: SharedPool | None = None
    ) -> None:
        super().__init__(work, settings, seed, shared)
        self._until = until
        keda = settings.keda
        self._schedule, self._least = settings.schedule, keda.minimum
        self._activation = Activation(keda)
        self._autoscaler = Autoscaler(settings.hpa, keda.queue_length, keda.minimum, keda.maximum)
        self._deepest = 0
        self._keda_sleeps = self._hpa_sleeps = True
        is_simple = keda.count_in_flight and work.low is None
        # Where its looks can be worked out from when there were tasks, KEDA need not look each time.
        self._lazy = is_simple and not (keda.minimum or keda.activation or keda.idle is not None)
        # The autoscaler need not look at an empty queue while there are the fewest pods: it would change nothing.
        behavior = settings.hpa.behavior
        self._hpa_may_rest = is_simple and behavior is not None and not behavior.up.window
        self._busy_since = 0.0
        self._keda_next, self._hpa_next = settings.phases.keda, settings.phases.hpa
        self._more = True
        self._stop = False
        self._gap = 0.0 if settings.agent.prefetch else settings.agent.gap

    def run(self) -> Outcome:
        """Alone, on nodes of its own."""
        self.begin()
        now = follow([self], self._agenda, math.inf if self._until is None else self._until)
        return self.closed(now)

    def begin(self) -> None:
        """Before the first task: fewest pods are made, and KEDA's looks are planned."""
        if self._lazy and self._schedule:
            self._agenda.put(self._settings.phases.keda, self._hour_begins)
        elif self._least or self._schedule:
            self._wake_keda(0.0)

    def arrives(self, now: float) -> None:
        """A task comes."""
        queue, low = self._queue, self._work.low
        if not queue and not self._in_flight:
            self._busy_since = now
            if self._replicas and self._hpa_sleeps:
                self._wake_hpa(now)
        if self._is_plain:
            task: Any = now
        else:
            is_low = low is not None and next(low)
            task = (now, 0 if self._work.models is None else next(self._work.models), is_low)
            if is_low:
                queue = self._low_queue
        if self._idle:
            pod = self._idle.popitem()[0]
            # The poll that runs is at the other queue.
            rest = self._rest_of_poll(pod, now) if queue is self._low_queue else 0.0
            self._begin(pod, task, now + rest + self._latency)
            return
        queue.append(task)
        if len(queue) > self._deepest:
            self._deepest = len(queue)
        if self._keda_sleeps:
            self._wake_keda(now)

    def no_more_come(self, now: float) -> None:
        """That was the last task."""
        self._more = False
        if self._replicas:
            self._wake_keda(now)

    def ends(self, pod: Pod, now: float) -> None:
        """The pod's task is done."""
        task = pod.task
        total = now - (task if self._is_plain else task[0])
        totals = self._outcome.totals
        totals.total += total
        if total > SHORTEST:
            totals.bins[int(math.log(total) * BINS_PER_E) + OFFSET] += 1
        else:
            totals.none += 1
        self._outcome.tasks += 1
        self._in_flight -= 1
        if pod.is_low:
            self._low_in_flight -= 1
        if pod.told:
            self._pod_ends(pod, now)
            if self._lazy and not self._in_flight and not self._queue:
                self._is_quiet(now)
        elif self._queue or self._low_queue:
            self._begin(pod, self._next_task(pod, now), now + self._gap)
        else:
            pod.phase = Phase.IDLE
            pod.idle_since = now
            self._idle[pod] = None
            if self._lazy and not self._in_flight:
                self._is_quiet(now)

    @property
    def is_over(self) -> bool:
        """Whether all is done, and what is still there would stay for ever."""
        return self._stop

    @property
    def waits_for_nothing(self) -> bool:
        """Whether all tasks have come and are done."""
        return not self._more and not self._queue and not self._low_queue and not self._in_flight

    def closed(self, now: float) -> Outcome:
        """What came of it. Nodes that are still there are paid until now, where they are its own."""
        end = now if self._until is None else self._until
        if self._owns_pool:
            self._pool.close(end)
        outcome = self._outcome
        outcome.ended_at = end
        outcome.deepest = self._deepest
        outcome.unfinished = len(self._queue) + len(self._low_queue) + self._in_flight
        outcome.totals.most = math.inf
        return outcome

    # KEDA and the autoscaler

    def _value(self) -> int:
        """What the queue counts; of two queues the larger count, as of two triggers that ask for as many pods each."""
        counts = self._settings.keda.count_in_flight
        if self._work.low is None:
            return len(self._queue) + (self._in_flight if counts else 0)
        low = self._low_in_flight if counts else 0
        normal = self._in_flight - low if counts else 0
        return max(len(self._queue) + normal, len(self._low_queue) + low)

    def _scheduled(self, now: float) -> int:
        schedule = self._schedule
        return schedule[int((now + self._settings.starts_at) // HOUR) % len(schedule)] if schedule else 0

    def _minimum(self, now: float) -> int:
        return max(self._least, self._scheduled(now))

    def _next_hour(self, now: float) -> float:
        start = self._settings.starts_at
        return (math.floor((now + start) / HOUR) + 1) * HOUR - start

    def _wake_keda(self, now: float) -> None:
        if not self._keda_sleeps:
            return
        self._keda_sleeps = False
        polling = self._settings.keda.polling
        if self._keda_next < now:
            self._keda_next += math.ceil((now - self._keda_next) / polling) * polling
        self._agenda.put(self._keda_next, self._keda_looks)

    def _hour_begins(self, now: float) -> None:
        """KEDA's first look in an hour, in which the fewest pods may be others."""
        polling = self._settings.keda.polling
        least, value = self._minimum(now), self._value()
        if self._scheduled(now - HOUR) and now > HOUR:
            self._activation.was_active(now - polling)
        wanted = self._activation.decide(now, value, self._replicas, self._scheduled(now))
        if wanted != self._replicas:
            self._scale(now, wanted)
        if not value and not least and self._replicas:
            self._plan_cold_look(now, now)
        next_hour = self._next_hour(now)
        looks = now + math.ceil((next_hour - now) / polling) * polling
        if self._until is None and not self._more and not value:
            self._stop = True
        self._agenda.put(looks, self._hour_begins)

    def _is_quiet(self, now: float) -> None:
        """There is no task any more: what KEDA saw last tells when it will take the pods."""
        polling, phase = self._settings.keda.polling, self._settings.phases.keda
        seen = phase + math.floor((now - phase) / polling) * polling
        if seen >= self._busy_since:
            self._activation.was_active(seen)
        self._plan_cold_look(now, seen)

    def _plan_cold_look(self, now: float, seen: float) -> None:
        """KEDA looks again when pods that nobody needs have got cold; `seen` is one of its looks."""
        polling = self._settings.keda.polling
        cold = self._activation.cold_after
        looks = seen + (math.floor((max(cold, now) - seen) / polling) + 1) * polling
        self._agenda.put(looks, partial(self._keda_looks_again, self._busy_since))

    def _keda_looks_again(self, busy_since: float, now: float) -> None:
        """The look at which pods are cold; where a task came meanwhile, another one is planned after it."""
        if busy_since == self._busy_since and not self._value() and self._replicas and not self._minimum(now):
            wanted = self._activation.decide(now, 0, self._replicas)
            if wanted != self._replicas:
                self._scale(now, wanted)

    def _keda_looks(self, now: float) -> None:
        value, least = self._value(), self._minimum(now)
        outcome = self._outcome
        outcome.depth.put(now, self._waiting)
        wanted = self._activation.decide(now, value, self._replicas, self._scheduled(now))
        if wanted != self._replicas:
            self._scale(now, wanted)
        self._keda_next = now + self._settings.keda.polling
        # Above a minimum, and while nothing is there, it has nothing to decide.
        rests = (self._lazy or not self._schedule) and (
            (least > 0 and self._replicas >= least and self._more) or (not value and not self._pods)
        )
        if not self._more and not value and not self._in_flight and (least or not self._pods):
            # All is done. What stays for ever is not waited for.
            if self._until is None and (least or self._settings.schedule):
                self._stop = True
            rests = not self._pods
        if (rests or (self._lazy and value)) and not self._stop:
            self._keda_sleeps = True
        else:
            self._agenda.put(self._keda_next, self._keda_looks)

    def _wake_hpa(self, now: float) -> None:
        if not self._hpa_sleeps:
            return
        self._hpa_sleeps = False
        sync = self._settings.hpa.sync + self._settings.hpa.processing
        if self._hpa_next < now:
            self._hpa_next += math.ceil((now - self._hpa_next) / sync) * sync
            # While it rested it would have wanted what the schedule wants.
            before = self._hpa_next - sync
            if scheduled := self._scheduled(before):
                self._autoscaler.remember(before, scheduled)
        self._agenda.put(self._hpa_next, self._hpa_looks)

    def _hpa_looks(self, now: float) -> None:
        hpa = self._settings.hpa
        self._hpa_next = now + hpa.sync + hpa.processing
        if not self._replicas:
            self._hpa_sleeps = True
            return
        value = self._value()
        self._outcome.depth.put(now, self._waiting)
        scheduled = self._scheduled(now)
        wanted = self._autoscaler.decide(now, value, self._replicas, len(self._pods), scheduled)
        if wanted != self._replicas:
            self._scale(now, wanted)
        if self._hpa_may_rest and not value and self._replicas == max(self._autoscaler.minimum, scheduled):
            self._hpa_sleeps = True
            if self._settings.schedule:
                self._agenda.put(self._next_hour(now), self._wake_hpa)
        else:
            self._agenda.put(self._hpa_next, self._hpa_looks)

    def _scale(self, now: float, wanted: int) -> None:
        self._resize(now, wanted)
        if wanted:
            self._wake_hpa(now)

    def _task_waits(self, now: float) -> None:
        self._wake_keda(now)
