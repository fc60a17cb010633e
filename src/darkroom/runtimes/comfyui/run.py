"""What the adapter keeps of one run of a workflow, and how patient it is."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import msgspec

from darkroom.policy.comfyui_workflow import Workflow
from darkroom.runtimes.comfyui.watch import PromptWatch
from darkroom.runtimes.memory import Memory
from darkroom.tasks.task import JsonObject


@dataclass(frozen=True)
class Timings:
    """How patient the adapter is, in seconds. It polls quickly while the websocket cannot be trusted."""

    poll_interval: float = 1.0
    quick_poll_interval: float = 0.2
    socket_delay: float = 0.2
    record_patience: float = 5.0
    stop_interval: float = 0.3
    stop_patience: float = 15.0


@dataclass(frozen=True)
class Payload:
    """What a task is prepared to: the workflow, its JSON, and what else belongs into the request."""

    workflow: Workflow
    encoded: msgspec.Raw
    extra: JsonObject


@dataclass
class Run:
    """A task in `run`. `prompt_id` changes when a workflow is run again; `previous` is the end of the one in front."""

    memory: Memory
    previous: asyncio.Event | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_interrupted: bool = False
    prompt_id: str = ""
    watch: PromptWatch | None = None


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Return when `event` is set, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
