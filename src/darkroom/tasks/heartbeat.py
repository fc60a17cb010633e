"""What an agent says of itself every few seconds, so that others know what a runtime can do now."""

from __future__ import annotations

from enum import StrEnum

import msgspec

SECONDS_BETWEEN_HEARTBEATS = 10.0
# An agent that has said nothing for so long is gone: it missed two.
GONE_AFTER_SECONDS = 30.0


class AgentState(StrEnum):
    """Whether an agent takes tasks: before its runtime was ready, while it is, while it is not, and at its end."""

    STARTING = "starting"
    READY = "ready"
    UNWELL = "unwell"
    STOPPING = "stopping"


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent, at `seen_at`. Times are seconds since 1970 (UTC).

    `agent` is a name that no other process has. `model` is the checkpoint that its runtime has loaded, `models` are
    those that it can load, where it has such. `in_work` counts the tasks that it holds, one on the device and those
    that get ready or are brought to their end. `service_seconds` is how long a task takes the device, a moving average;
    `head_sent_at`, when the task that was begun last had been sent to the queue, so how old the head of the queue is;
    `duty`, the share of the last minute or so for which the device had a task, from 0 to 1. None is: not known yet.
    """

    agent: str
    runtime: str
    seen_at: float
    state: AgentState
    model: str | None = None
    models: tuple[str, ...] = ()
    in_work: int = 0
    service_seconds: float | None = None
    head_sent_at: float | None = None
    duty: float | None = None

    def is_alive(self, now: float) -> bool:
        """Whether the agent is still there at `now`."""
        return now - self.seen_at <= GONE_AFTER_SECONDS

    def is_ready(self, now: float) -> bool:
        """Whether it takes tasks at `now`."""
        return self.state is AgentState.READY and self.is_alive(now)
