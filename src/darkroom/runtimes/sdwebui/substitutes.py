"""Samplers and schedules that the server took in place of those that were asked for, which it does without a word."""

from __future__ import annotations

from darkroom.errors import GenerationRefused
from darkroom.runtimes.sdwebui.asked import Asked
from darkroom.runtimes.sdwebui.differences import other_sampler, other_schedule
from darkroom.runtimes.sdwebui.names import Names
from darkroom.runtimes.sdwebui.response import Information


async def refuse_substitutes(names: Names, asked: Asked, information: Information) -> None:
    """Raise `GenerationRefused` where the server knows no such sampler or schedule, and took another one."""
    used = other_sampler(asked, information)
    if used is not None and not await names.is_alias(asked.sampler, used):
        known = ", ".join(await names.samplers()) or "unknown"
        raise GenerationRefused(
            f"the runtime has no sampler {asked.sampler!r} and took {used!r} in its place; it has: {known}"
        )
    used = other_schedule(asked, information)
    if used:
        known = ", ".join(await names.schedulers()) or "unknown"
        raise GenerationRefused(
            f"the runtime has no scheduler {asked.scheduler!r} and took {used!r} in its place; it has: {known}"
        )
