"""What agents do with tasks, and what pods and nodes do for them: the part of the simulation below the controllers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from darkroom.planner.simulation.parts import Node, Phase, Pod
from darkroom.planner.simulation.results import BINS_PER_E, OFFSET, SHORTEST, Outcome
from darkroom.planner.simulation.settings import Settings
from darkroom.planner.simulation.shared_cores import SharedCores
from darkroom.planner.simulation.shared_pool import SharedPool
from darkroom.planner.simulation.victims import victims


@dataclass(frozen=True)
class Work:
    """What arrives and how long it takes. `arrivals` are seconds in order; `services` one for each start of a task.

    `models`, where tasks are for different ones: which model each task is for, by number. `low`, where there is a
    second queue for tasks of low priority: whether each task is one of them.
    """

    arrivals: Iterator[float]
    services: Iterator[float]
    models: Iterator[int] | None = None
    low: Iterator[bool] | None = None


class Agents:
    """The queue, the pods with their agents, and the nodes. What counts the pods is said by whoever inherits."""

    def __init__(self, work: Work, settings: Settings, seed: int, shared: SharedPool | None = None) -> None:
        self._work = work
        self._settings = settings
        self._outcome = Outcome()
        self._owns_pool = shared is None
        self._shared = shared = shared or SharedPool(settings, seed, outcome=self._outcome)
        shared.members.append(self)
        self._chance, self._agenda, self._pool = shared.chance, shared.agenda, shared.pool
        self._cores = SharedCores(settings.nodes.shared_cores, self._agenda) if settings.nodes.shared_cores else None
        # A task is the moment at which it came, or (moment, model, whether low, and whether it was given back).
        self._is_plain = work.models is None and work.low is None
        self._latency = settings.agent.latency
        self._queue: deque[Any] = deque()
        self._low_queue: deque[Any] = deque()
        self._idle: dict[Pod, None] = {}
        self._pods: dict[Pod, None] = {}
        self._pending: dict[Pod, None] = {}
        self._replicas = 0
        self._in_flight = self._low_in_flight = 0

    @property
    def arrivals(self) -> Iterator[float]:
        """When tasks come."""
        return self._work.arrivals

    @property
    def pending(self) -> int:
        """How many pods wait for a node."""
        return len(self._pending)

    @property
    def oldest_pending(self) -> float:
        """When the first of them was made."""
        return next(iter(self._pending)).born

    @property
    def _waiting(self) -> int:
        return len(self._queue) + len(self._low_queue)

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
        seconds = next(self._work.services)
        waits = self._outcome.waits
        if self._is_plain:
            arrived, is_first = (task, True) if task.__class__ is float else (task[0], False)
            if not is_first:
                task = arrived
        else:
            arrived, model, is_low, *again = task
            if model != pod.model:
                if pod.model >= 0:
                    seconds += self._settings.agent.switch
                    self._outcome.switch_seconds += self._settings.agent.switch
                pod.model = model
            is_first = not again
            pod.is_low = is_low
            if is_low:
                waits = self._outcome.low_waits
                self._low_in_flight += 1
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

    def _next_task(self, pod: Pod, now: float) -> Any:
        """The next one that waits: of the first messages one for the model that is loaded, else the first."""
        queue, window = self._queue, self._settings.agent.window
        if self._work.low is not None and self._is_lows_turn(pod, now):
            queue = self._low_queue
        if window > 1:
            for index in range(min(window, len(queue))):
                if queue[index][1] == pod.model:
                    found = queue[index]
                    del queue[index]
                    return found
        return queue.popleft()

    def _is_lows_turn(self, pod: Pod, now: float) -> bool:
        """Whether the agent takes from the low queue, by `policy/queue_turns`: if no normal task waits, or for its age.

        What it last took tells how old the others may be; what is overdue takes every second turn.
        """
        bound = self._settings.agent.low_bound
        is_due = now >= pod.low_due and not pod.yields
        if is_due and not self._low_queue:
            pod.low_due = now + bound
        if self._low_queue and (is_due or not self._queue):
            pod.low_due = min(self._low_queue[0][0], now) + bound
            pod.yields = pod.low_due <= now
            return True
        pod.yields = False
        return False

    def _take_up(self, pod: Pod, now: float) -> None:
        """The pod's agent asks the queue."""
        if self._queue or self._low_queue:
            self._begin(pod, self._next_task(pod, now), now + self._latency)
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
        if pod.is_low:
            self._low_in_flight -= 1
        task = pod.task
        again = (task, True) if self._is_plain else (*task[:3], True)
        self._pod_ends(pod, now)
        if self._idle:
            self._begin(self._idle.popitem()[0], again, now + self._latency)
        else:
            (self._low_queue if pod.is_low else self._queue).appendleft(again)
            self._task_waits(now)

    # Pods

    def _pod_made(self, now: float) -> None:
        pod = Pod(now, self)
        self._pods[pod] = None
        if self._pool.take(now, pod):
            self._starts(pod, now)
        else:
            self._pending[pod] = None
            self._pool.pod_waits(now)

    def _starts(self, pod: Pod, now: float) -> None:
        pod.phase = Phase.STARTING
        nodes, node = self._settings.nodes, pod.node
        # Each runtime has images of its own.
        image = 0.0 if node is None or self in node.pulled else self._pool.strayed(nodes.image)
        if node is not None:
            node.pulled.add(self)
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
        # An agent that has just begun knows nothing of what is old, and gives normal tasks the bound's time.
        pod.low_due = now + self._settings.agent.low_bound
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
            rest = self._rest_of_poll(pod, now)
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
                self._shared.bind(now)

    def _rest_of_poll(self, pod: Pod, now: float) -> float:
        poll = self._settings.agent.poll
        return poll - (now - pod.idle_since) % poll if poll else 0.0

    def bind_one(self, now: float) -> bool:
        """The oldest pod that waits goes to a node with room; False where none has."""
        pod = next(iter(self._pending))
        if not self._pool.take(now, pod):
            return False
        del self._pending[pod]
        self._starts(pod, now)
        return True

    def node_interrupted(self, now: float, node: Node) -> None:
        """EC2 wants the node back: its pods are told to stop, and others are made in their place."""
        usable = min(self._settings.agent.grace, self._settings.spot.usable)
        for pod in sorted(node.pods, key=lambda pod: pod.born):
            if pod in self._pods:
                self._tell(pod, now, usable)
        for _ in range(self._replicas - len(self._pods)):
            self._pod_made(now)
