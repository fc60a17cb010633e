"""How long a task will wait: estimates, from what the queue and the agents beside its runtime say. Pure.

A queue tells how many messages it holds, and not which. Agents tell when the task that they began last had been sent:
whatever was sent before it is gone, so what waits was sent since. It is taken to have been sent evenly, and what agents
have fetched for when the device is free, before what is still in the queue.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from darkroom.tasks.heartbeat import Heartbeat


class RuntimeState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a runtime at a time. None is: not known.

    `waiting` messages are in its queue, and `in_flight` in its agents' hands. Of its agents, `ready` take tasks, and
    `idle` of these have none. `service_seconds` is how long a task takes the device; `head_sent_at`, in seconds since
    1970, when the task that was begun last had been sent. `loaded` are the models that agents have ready, `models`
    those that they can load. `agents` is what each of them said last, also of those that are gone since.
    """

    waiting: int | None = None
    in_flight: int | None = None
    ready: int = 0
    idle: int = 0
    service_seconds: float | None = None
    head_sent_at: float | None = None
    loaded: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    agents: tuple[Heartbeat, ...] = ()


def runtime_state(
    heartbeats: Iterable[Heartbeat], waiting: int | None, in_flight: int | None, now: float
) -> RuntimeState:
    """Put together what a runtime's agents and its queue say."""
    agents = tuple(heartbeats)
    alive = [heartbeat for heartbeat in agents if heartbeat.is_alive(now)]
    ready = [heartbeat for heartbeat in alive if heartbeat.is_ready(now)]
    services = [heartbeat.service_seconds for heartbeat in ready if heartbeat.service_seconds is not None]
    heads = [heartbeat.head_sent_at for heartbeat in alive if heartbeat.head_sent_at is not None]
    return RuntimeState(
        waiting=waiting,
        in_flight=in_flight,
        ready=len(ready),
        idle=sum(heartbeat.in_work == 0 for heartbeat in ready),
        # Agents work side by side, so what counts is how many tasks they do together in a time.
        service_seconds=_harmonic_mean(services),
        head_sent_at=max(heads, default=None),
        loaded=tuple(sorted({heartbeat.model for heartbeat in alive if heartbeat.model is not None})),
        models=tuple(sorted({model for heartbeat in alive for model in heartbeat.models})),
        agents=agents,
    )


class Standing(msgspec.Struct, frozen=True):
    """Where a task stands that was not begun: how many are likely to be begun `before` it.

    `is_fetched`: an agent has it, most likely, and it waits in no queue any more.
    """

    before: int
    is_fetched: bool = False


def standing(state: RuntimeState, sent_at: float, now: float) -> Standing | None:
    """Where a task stands that waits since `sent_at`; None where nothing tells."""
    if state.waiting is None or state.head_sent_at is None:
        return None
    passed = now - state.head_sent_at
    if not state.waiting or passed <= 0 or sent_at <= state.head_sent_at:
        return Standing(0, is_fetched=True)
    # In agents' hands, and not on a device.
    fetched = max(0, (state.in_flight or 0) - max(0, state.ready - state.idle))
    rank = min(1.0, (sent_at - state.head_sent_at) / passed) * (fetched + state.waiting)
    if rank < fetched:
        return Standing(int(rank), is_fetched=True)
    return Standing(min(fetched + state.waiting - 1, round(rank)))


def oldest_wait(state: RuntimeState, now: float) -> float | None:
    """How many seconds the oldest task waits at most that is in the queue; None where nothing tells.

    Whatever waits was sent after the task that was begun last.
    """
    if state.waiting == 0:
        return 0.0
    return None if state.waiting is None or state.head_sent_at is None else round(max(0.0, now - state.head_sent_at), 1)


def seconds_until_start(state: RuntimeState, before: int) -> float | None:
    """How long a task waits that `before` others are before; None where no agent takes tasks, or no pace is known."""
    if not state.ready or state.service_seconds is None:
        return None
    if state.idle > before:
        return 0.0
    # On average, each agent that is busy is in the middle of its task.
    return round((before - state.idle + 0.5) * state.service_seconds / state.ready, 1)


def seconds_until_served(state: RuntimeState) -> float | None:
    """How long a task would wait that is sent now; None where nothing tells."""
    return None if state.waiting is None else seconds_until_start(state, state.waiting)


def _harmonic_mean(values: list[float]) -> float | None:
    positive = [value for value in values if value > 0]
    return len(positive) / sum(1 / value for value in positive) if positive else None
