"""Which sampler and which schedule an SD Web UI takes for the names in a request."""

from __future__ import annotations

from typing import Any

from darkroom.testing.sdwebui_state import SAMPLERS

SCHEDULERS = {"automatic": "Automatic", "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform"}
_FALLBACK = "DPM++ 2M"
_OF_THEIR_OWN = {"DPM++ 2M": "Karras", "DPM++ SDE": "Karras"}
_WITH_SCHEDULE = "DPM++ 2M Karras"


def resolve(body: dict[str, Any], version: str) -> tuple[str, str | None]:
    """The sampler and the schedule's label; no schedule for a release that has none."""
    asked = body.get("sampler_name") or body.get("sampler_index") or "Euler"
    if version.startswith("1.8"):
        return asked, None
    sampler, schedule = asked, None
    for label in SCHEDULERS.values():
        if asked.endswith(f" {label}"):
            sampler, schedule = asked.removesuffix(f" {label}"), label
    if sampler not in SAMPLERS or sampler == _WITH_SCHEDULE:
        sampler = _FALLBACK
    wanted = body.get("scheduler")
    if wanted:
        schedule = SCHEDULERS.get(wanted) or (wanted if wanted in SCHEDULERS.values() else "Automatic")
    if schedule in (None, "Automatic"):
        schedule = _OF_THEIR_OWN.get(sampler, "Automatic")
    return sampler, schedule
