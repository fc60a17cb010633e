"""What agents do with tasks, and what pods and nodes do for them: the part of the simulation below the controllers."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from darkroom.planner.simulation.nodes import Pool
from darkroom.planner.simulation.parts import Agenda, Node, Phase, Pod
from darkroom.planner.simulation.results import BINS_PER_E, OFFSET, SHORTEST, Outcome
from darkroom.planner.simulation.settings import Settings
from darkroom.planner.simulation.shared_cores import SharedCores
from darkroom.planner.simulation.victims import victims


@dataclass(frozen=True)
class Work:
    """What arrives and how long it takes. `arrivals` are seconds in order; `services` one for each start of a task.

    `models`, where tasks are for different ones: which model each task is for, by number.
    """

    arrivals: Iterator[float]
    services: Iterator[float]
    models: Iterator[int] | None = None


class Agents:
    """The queue, the pods with their agents, and the nodes. What counts the pods is said by whoever inherits."""

    def __init__(self, work: Work, settings: Settings, seed: int) -> None:
        self._work = work
        self._settings = settings
        self._outcome = Outcome()
        self._chance = random.Random(seed)  # noqa: S311
        self._agenda = Agenda()
        self._pool = Pool(
            settings,
            self._agenda,
            self._outcome,
            self._chance,
            lambda: len(self._pending),
            self._node_ready,
            self._node_interrupted,
        )
        self._cores = SharedCores(settings.nodes.shared_cores, self._agenda) if settings.nodes.shared_cores else None
        self._queue: deque[Any] = deque()
        self._idle: dict[Pod, None] = {}
        self._pods: dict[Pod, None] = {}
        self._pending: dict[Pod, None] = {}
        self._replicas = 0
        self._in_flight = 0

    def _task_waits(self, now: float) -> None:
        """A task is back in the queue, and nobody is idle."""
        raise NotImplementedError

    def _resize(self, now: float, wanted: int) -> None:
        """Make pods, or tell some to stop, until there are so many."""
        self._replicas = wanted
        self._outcome.replicas.put(now, wanted)
        lacking = wanted - len(self._pods)
        if lacking > 0:
            for _ in range(lacking):
                self._pod_made(now)
        elif lacking < 0:
            for pod in victims(self._pods, -lacking, now, self._chance):
                self._tell(pod, now, self._settings.agent.grace)

    # Tasks

    def _begin(self, pod: Pod, task: Any, at: float) -> None:
        """The pod starts the task at that moment. A task that was given back counts its first wait only."""
        work, waits = self._work, self._outcome.waits
        seconds = next(work.services)
        if work.models is not None:
            arrived, model, *again = task
            if model != pod.model:
                if pod.model >= 0:
                    seconds += self._settings.agent.switch
                    self._outcome.switch_seconds += self._settings.agent.switch
                pod.model = model
            is_first = not again
        else:
            arrived, is_first = (task, True) if task.__class__ is float else (task[0], False)
            if not is_first:
                task = arrived
        if is_first:
            wait = at - arrived
            waits.total += wait
            if wait > SHORTEST:
                waits.bins[int(math.log(wait) * BINS_PER_E) + OFFSET] += 1
                if wait > waits.most:
                    waits.most = wait
            else:
                waits.none += 1
        pod.phase = Phase.BUSY
        pod.task = task
        pod.started = at
        pod.end = end = at + seconds
        self._in_flight += 1
        self._outcome.busy_seconds += seconds
        self._agenda.put(end, pod)

    def _next_task(self, pod: Pod) -> Any:
        """Of the first messages, one for the model that is loaded; else the first."""
        queue, window = self._queue, self._settings.agent.window
        if window > 1:
            for index in range(min(window, len(queue))):
                if queue[index][1] == pod.model:
                    found = queue[index]
                    del queue[index]
                    return found
        return queue.popleft()

    def _take_up(self, pod: Pod, now: float) -> None:
        """The pod's agent asks the queue."""
        if self._queue:
            task = self._next_task(pod) if self._work.models is not None else self._queue.popleft()
            self._begin(pod, task, now + self._settings.agent.latency)
        else:
            pod.phase = Phase.IDLE
            pod.idle_since = now
            self._idle[pod] = None

    def _give_back(self, pod: Pod, now: float) -> None:
        """The pod's task goes back to the queue, and another agent begins it anew."""
        if pod.phase is not Phase.BUSY:
            return
        self._outcome.given_back += 1
        self._outcome.busy_seconds -= max(0.0, pod.end - now)
        self._in_flight -= 1
        task = pod.task
        again = (task, True) if self._work.models is None else (*task[:2], True)
        self._pod_ends(pod, now)
        if self._idle:
            self._begin(self._idle.popitem()[0], again, now + self._settings.agent.latency)
        else:
            self._queue.appendleft(again)
            self._task_waits(now)

    # Pods

    def _pod_made(self, now: float) -> None:
        pod = Pod(now)
        self._pods[pod] = None
        if self._pool.take(now, pod):
            self._starts(pod, now)
        else:
            self._pending[pod] = None
            self._pool.pod_waits(now)

    def _starts(self, pod: Pod, now: float) -> None:
        pod.phase = Phase.STARTING
        nodes, node = self._settings.nodes, pod.node
        image = 0.0 if node is None or node.pulled else self._pool.strayed(nodes.image)
        if node is not None:
            node.pulled = True
        begins = now + image + self._pool.strayed(nodes.container)
        model = self._pool.strayed(nodes.model)
        if self._cores is None:
            self._agenda.put(begins + model, partial(self._is_up, pod))
        else:
            cores = self._cores
            self._agenda.put(begins, lambda at: cores.run(at, model, partial(self._is_up, pod)))

    def _is_up(self, pod: Pod, now: float) -> None:
        if pod.told or pod.phase is not Phase.STARTING:
            return
        pod.ready_at = now
        self._take_up(pod, now)

    def _tell(self, pod: Pod, now: float, grace: float) -> None:
        """The pod is told to stop: it counts no more, and ends when its agent does."""
        self._pods.pop(pod, None)
        pod.told = True
        if pod.phase is Phase.PENDING:
            self._pending.pop(pod, None)
            pod.phase = Phase.GONE
            return
        if pod.node is not None:
            self._pool.pod_told(now, pod.node)
        agent = self._settings.agent
        if pod.phase is Phase.BUSY:
            if pod.end > now + grace:
                self._agenda.put(now + grace, partial(self._give_back, pod))
            return
        rest = 0.0
        if pod.phase is Phase.IDLE:
            self._idle.pop(pod, None)
            # Its poll goes on to its end.
            rest = agent.poll - (now - pod.idle_since) % agent.poll if agent.poll else 0.0
        pod.phase = Phase.ENDING
        self._agenda.put(now + rest + agent.exit, partial(self._pod_ends, pod))

    def _pod_ends(self, pod: Pod, now: float) -> None:
        if pod.phase is Phase.GONE:
            return
        pod.phase = Phase.GONE
        node = pod.node
        if node is not None:
            self._pool.pod_gone(now, pod, node)
            if not node.drains:
                self._bind(now)

    def _node_ready(self, now: float, node: Node) -> None:
        self._bind(now)

    def _bind(self, now: float) -> None:
        """Pods that wait go to nodes with room, the oldest first."""
        while self._pending:
            pod = next(iter(self._pending))
            if not self._pool.take(now, pod):
                return
            del self._pending[pod]
            self._starts(pod, now)

    def _node_interrupted(self, now: float, node: Node) -> None:
        """EC2 wants the node back: its pods are told to stop, and others are made in their place."""
        usable = min(self._settings.agent.grace, self._settings.spot.usable)
        for pod in sorted(node.pods, key=lambda pod: pod.born):
            if not pod.told:
                self._tell(pod, now, usable)
        for _ in range(self._replicas - len(self._pods)):
            self._pod_made(now)
