"""What a simulated deployment is like. Times are seconds.

Defaults are the controllers' own, as their sources have them; what Darkroom's chart sets differently is in
`deployment.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from darkroom.settings import LOW_PRIORITY_BOUND_SECONDS

Select = Literal["Max", "Min", "Disabled"]


@dataclass(frozen=True)
class Keda:
    """A ScaledObject with one queue. `cooldown`: how long without tasks until there is no pod at all."""

    queue_length: int = 5
    activation: int = 0
    polling: float = 30.0
    cooldown: float = 300.0
    minimum: int = 0
    maximum: int = 100
    idle: int | None = None
    count_in_flight: bool = True


@dataclass(frozen=True)
class Policy:
    """One of the autoscaler's limits: so many pods, or per cent, within a period."""

    kind: Literal["Pods", "Percent"]
    value: int
    period: float


@dataclass(frozen=True)
class Rules:
    """One direction of the autoscaler's `behavior`."""

    window: float
    policies: Sequence[Policy]
    select: Select = "Max"
    tolerance: float = 0.1


DEFAULT_UP = Rules(0.0, (Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)))
DEFAULT_DOWN = Rules(300.0, (Policy("Percent", 100, 15.0),))


@dataclass(frozen=True)
class Behavior:
    """The autoscaler's `behavior`, with its own defaults for what is not said."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN


@dataclass(frozen=True)
class Hpa:
    """The horizontal autoscaler. `behavior` None is not the same as a behavior that says nothing.

    It looks again `sync` after it is done, which takes it `processing`.
    """

    behavior: Behavior | None = None
    sync: float = 15.0
    processing: float = 0.02
    tolerance: float = 0.1
    window: float = 300.0


@dataclass(frozen=True)
class Budget:
    """How many nodes may be on their way out at once, as a share of all or a number."""

    share: float | None = 0.1
    number: int | None = None


@dataclass(frozen=True)
class Karpenter:
    """Karpenter with one pool of nodes that each hold `gpus` pods.

    Its loop looks every `loop`; what it finds empty it looks at again after `validation`; `leaving` is how long a
    drained node takes until its claim is gone.
    """

    batch_idle: float = 1.0
    batch_most: float = 10.0
    launch: float = 0.35
    consolidate_after: float | None = 0.0
    budgets: Sequence[Budget] = (Budget(),)
    loop: float = 10.0
    round_overhead: float = 0.4
    validation: float = 15.0
    leaving: float = 10.0
    # Events of pods nearer than this to the last one do not reset a node's clock.
    event_dedupe: float = 10.0
    # The most GPUs that all nodes have together, and how many each has.
    limit: int | None = None
    gpus: int = 1
    # How often a pod without a node is looked at again.
    again: float = 10.0


@dataclass(frozen=True)
class Nodes:
    """How long nodes and pods take to be ready.

    A node takes `boot`; the first pod on it pulls images for `image`; every pod takes `container` to start, and
    `model` until its runtime has a model and its agent asks the queue. `shared_cores`: all agents start on so few cores
    together, as in a cluster that runs on one machine; None: each has its own.
    """

    boot: float = 65.0
    image: float = 50.0
    container: float = 1.0
    model: float = 34.0
    shared_cores: int | None = None
    # How far each of these times strays, as a share of it (uniform).
    spread: float = 0.0


@dataclass(frozen=True)
class Spot:
    """Spot nodes: preferred where `share` is above 0; the rest is on demand.

    `hazard` is how many interruptions a node has in an hour. `no_capacity` is the chance that a launch finds none;
    then that offering is not tried for `hidden`, and with `fallback` a node on demand is launched in its place.
    """

    share: float = 0.0
    hazard: float = 0.0
    no_capacity: float = 0.0
    hidden: float = 180.0
    fallback: bool = True
    notice: float = 120.0
    # What an agent may still do of them: its task goes back to the queue then.
    usable: float = 110.0


@dataclass(frozen=True)
class Agent:
    """What one agent does. An idle one that is told to stop waits for its `poll`; a busy one finishes within `grace`.

    `latency`: from a message to the start of its task, where nothing hinders. With `prefetch`, the next message is
    there when a task ends; else `gap` passes. `window`: of so many messages it may choose one for the model it has
    loaded; loading another takes `switch`. A task of low priority that has waited for `low_bound` takes every second
    turn.
    """

    poll: float = 1.0
    exit: float = 0.1
    grace: float = 300.0
    latency: float = 0.04
    prefetch: bool = True
    gap: float = 0.5
    window: int = 1
    switch: float = 15.0
    low_bound: float = LOW_PRIORITY_BOUND_SECONDS


@dataclass(frozen=True)
class Phases:
    """When each controller first looks. Nobody sets them; a run repeats another one only with the same."""

    keda: float = 2.5
    hpa: float = 7.5
    karpenter: float = 5.0


@dataclass(frozen=True)
class Settings:
    """All of it."""

    keda: Keda = field(default_factory=Keda)
    hpa: Hpa = field(default_factory=Hpa)
    karpenter: Karpenter = field(default_factory=Karpenter)
    nodes: Nodes = field(default_factory=Nodes)
    spot: Spot = field(default_factory=Spot)
    agent: Agent = field(default_factory=Agent)
    phases: Phases = field(default_factory=Phases)
    # By hour of the week, Monday at 0 first: fewest pods then; empty: always the same.
    schedule: Sequence[int] = ()
    # How many seconds of such a week had passed when the run begins.
    starts_at: float = 0.0
