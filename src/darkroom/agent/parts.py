"""What an agent is composed of; `darkroom.agent.composition` puts it together."""

from __future__ import annotations

from dataclasses import dataclass, field

from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies
from darkroom.agent.health import Health
from darkroom.agent.heartbeats import Heartbeats
from darkroom.agent.incidents import Incidents
from darkroom.agent.intake import Intake
from darkroom.agent.metrics import Metrics, NoMetrics
from darkroom.agent.outages import Outages
from darkroom.agent.preparation import Preparation
from darkroom.agent.progress import ProgressNotes
from darkroom.agent.settlement import Settlement
from darkroom.agent.spans import NoSpans, Spans
from darkroom.agent.sweep import Sweep
from darkroom.agent.task_records import TaskRecords
from darkroom.aws.queue import LONGEST_WAIT_SECONDS, Queue
from darkroom.policy.turn_order import MOST_OVERTAKES
from darkroom.runtimes.protocol import Runtime
from darkroom.settings import LOW_PRIORITY_BOUND_SECONDS


@dataclass(frozen=True)
class AgentParts:
    """The parts of one agent, and how it is to work."""

    queue: Queue
    visibility_seconds: float
    intake: Intake
    preparation: Preparation
    runtime: Runtime
    settlement: Settlement
    records: TaskRecords
    progress: ProgressNotes
    copies: Copies
    incidents: Incidents
    health: Health
    heartbeats: Heartbeats
    outages: Outages
    budget: MemoryBudget
    clock: Clock = field(default_factory=Clock)
    spans: Spans = field(default_factory=NoSpans)
    metrics: Metrics = field(default_factory=NoMetrics)
    sweep: Sweep | None = None
    low_queue: Queue | None = None
    low_bound_seconds: float = LOW_PRIORITY_BOUND_SECONDS
    notify_when_running: bool = False
    receive_wait_seconds: int = LONGEST_WAIT_SECONDS
    model_window: int = 1
    most_overtakes: int = MOST_OVERTAKES
    trial_seconds: float = 120.0
