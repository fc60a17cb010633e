"""The simulation itself: tasks arrive, agents do them, controllers move pods and nodes.

KEDA and the autoscaler look at the queue in their own rhythms; where nothing is there to look at, they sleep, and wake
in step. All chance comes from one seed.
"""

from __future__ import annotations

import heapq
import math
from functools import partial

from darkroom.planner.simulation.agents import Agents, Work
from darkroom.planner.simulation.hpa import Autoscaler
from darkroom.planner.simulation.keda import Activation
from darkroom.planner.simulation.parts import Phase, Pod
from darkroom.planner.simulation.results import BINS_PER_E, OFFSET, SHORTEST, Outcome
from darkroom.planner.simulation.settings import Settings

HOUR, DAY = 3600.0, 86_400.0


def simulate(work: Work, settings: Settings, seed: int = 1, until: float | None = None) -> Outcome:
    """Run until all tasks are done and all nodes gone, or until so many seconds have passed."""
    return _Run(work, settings, seed, until).run()


class _Run(Agents):
    def __init__(self, work: Work, settings: Settings, seed: int, until: float | None) -> None:
        super().__init__(work, settings, seed)
        self._until = until
        keda = settings.keda
        self._schedule, self._least = settings.schedule, keda.minimum
        self._activation = Activation(keda)
        self._autoscaler = Autoscaler(settings.hpa, keda.queue_length, keda.minimum, keda.maximum)
        self._deepest = 0
        self._keda_sleeps = self._hpa_sleeps = True
        # Where its looks can be worked out from when there were tasks, KEDA need not look each time.
        self._lazy = not (keda.minimum or keda.activation or keda.idle is not None) and keda.count_in_flight
        # The autoscaler need not look at an empty queue while there are the fewest pods: it would change nothing.
        behavior = settings.hpa.behavior
        self._hpa_may_rest = keda.count_in_flight and behavior is not None and not behavior.up.window
        self._busy_since = 0.0
        self._keda_next, self._hpa_next = settings.phases.keda, settings.phases.hpa
        self._more = True
        self._stop = False

    def run(self) -> Outcome:
        """The loop. What happens once for each task is written out here; it is most of the time."""
        work, outcome, heap = self._work, self._outcome, self._agenda.heap
        arrivals, models = work.arrivals, work.models
        queue, idle = self._queue, self._idle
        latency = self._settings.agent.latency
        gap = 0.0 if self._settings.agent.prefetch else self._settings.agent.gap
        until = math.inf if self._until is None else self._until
        totals, log, pop = outcome.totals.bins, math.log, heapq.heappop
        begin, next_task = self._begin, self._next_task
        sum_of_totals = 0.0
        done = none = 0
        lazy = self._lazy
        arrives = next(arrivals, math.inf)
        if lazy and self._schedule:
            self._agenda.put(self._settings.phases.keda, self._hour_begins)
        elif self._least or self._schedule:
            self._wake_keda(0.0)
        now = ended = 0.0
        while True:
            if arrives <= (heap[0][0] if heap else math.inf):
                if arrives > until or arrives == math.inf:
                    break
                now = arrives
                if not queue and not self._in_flight:
                    self._busy_since = now
                    if self._replicas and self._hpa_sleeps:
                        self._wake_hpa(now)
                task = now if models is None else (now, next(models))
                if idle:
                    begin(idle.popitem()[0], task, now + latency)
                else:
                    queue.append(task)
                    if len(queue) > self._deepest:
                        self._deepest = len(queue)
                    if self._keda_sleeps:
                        self._wake_keda(now)
                arrives = next(arrivals, math.inf)
                if arrives == math.inf:
                    self._more = False
                    if self._replicas:
                        self._wake_keda(now)
                continue
            if heap[0][0] > until or self._stop:
                break
            now, _, what = pop(heap)
            if what.__class__ is not Pod:
                what(now)
                if now > ended + DAY and self._until is None and not self._more and not self._value():
                    break  # what is still there stays: no budget lets it go
                continue
            if what.end != now or what.phase is not Phase.BUSY:
                continue  # it was taken from its pod
            done += 1
            ended = now
            total = now - (what.task if models is None else what.task[0])
            sum_of_totals += total
            if total > SHORTEST:
                totals[int(log(total) * BINS_PER_E) + OFFSET] += 1
            else:
                none += 1
            self._in_flight -= 1
            if what.told:
                self._pod_ends(what, now)
                if lazy and not self._in_flight and not queue:
                    self._is_quiet(now)
            elif queue:
                begin(what, next_task(what) if models is not None else queue.popleft(), now + gap)
            else:
                what.phase = Phase.IDLE
                what.idle_since = now
                idle[what] = None
                if lazy and not self._in_flight:
                    self._is_quiet(now)
        outcome.tasks = done
        outcome.totals.none, outcome.totals.total = none, sum_of_totals
        return self._closed(now if self._until is None else self._until)

    def _closed(self, now: float) -> Outcome:
        """What is still there is paid until now."""
        for node in self._pool.nodes:
            self._pool.bill(now, node)
        outcome = self._outcome
        outcome.ended_at = now
        outcome.deepest = self._deepest
        outcome.unfinished = len(self._queue) + self._in_flight
        outcome.waits.most = outcome.waits.most or 0.0
        outcome.totals.most = math.inf
        return outcome

    # KEDA and the autoscaler

    def _value(self) -> int:
        return len(self._queue) + (self._in_flight if self._settings.keda.count_in_flight else 0)

    def _minimum(self, now: float) -> int:
        schedule = self._schedule
        if not schedule:
            return self._least
        return max(self._least, schedule[int((now + self._settings.starts_at) // HOUR) % len(schedule)])

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
        if self._minimum(now - HOUR) > self._least and now > HOUR:
            self._activation.was_active(now - polling)
        wanted = self._activation.decide(now, value, self._replicas, least)
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
        outcome.depth.put(now, len(self._queue))
        wanted = self._activation.decide(now, value, self._replicas, least)
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
        self._agenda.put(self._hpa_next, self._hpa_looks)

    def _hpa_looks(self, now: float) -> None:
        hpa = self._settings.hpa
        self._hpa_next = now + hpa.sync + hpa.processing
        if not self._replicas:
            self._hpa_sleeps = True
            return
        if self._settings.schedule:
            self._autoscaler.minimum = max(1, self._minimum(now))
        value = self._value()
        self._outcome.depth.put(now, len(self._queue))
        wanted = self._autoscaler.decide(now, value, self._replicas, len(self._pods))
        if wanted != self._replicas:
            self._scale(now, wanted)
        if self._hpa_may_rest and not value and self._replicas == self._autoscaler.minimum:
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
