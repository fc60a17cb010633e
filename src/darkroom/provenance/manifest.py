"""What Content Credentials say of a picture: the manifest that is signed, as a value.

Darkroom's own facts stand in its claim generator's entry and in its action, under names of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from darkroom.provenance.origin import Origin
from darkroom.provenance.source_types import uri_of

FIELD = "io.darkroom"  # in front of names that no standard has
MODEL, RUNTIME, TASK, SUBMISSION = (f"{FIELD}.{name}" for name in ("model", "runtime", "tasktype", "submission"))
PROMPT = f"{FIELD}.prompt"


def label_of(index: int) -> str:
    """The label under which ingredient `index`, counted from 0, is added."""
    return f"input-{index + 1}"


def relationship_of(index: int) -> str:
    """What the picture is to that ingredient: its child, or made with its help. There is one parent at most."""
    return "parentOf" if index == 0 else "inputTo"


def manifest_of(origin: Origin, ingredients: int, *, version: str, when: datetime) -> dict[str, Any]:
    """The manifest of a picture that was made from so many ingredients.

    What has a parent was opened and then edited; all else was created.
    """
    agent = {"name": origin.model or origin.runtime_type}
    deed: dict[str, Any] = {
        "when": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "softwareAgent": agent,
        "digitalSourceType": uri_of(origin.source_type),
    }
    facts = {TASK: origin.kind.value, **{f"{PROMPT}.{name}": text for name, text in origin.prompts.items()}}
    if ingredients:
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [label_of(0)]}}
        actions = [opened, {"action": origin.edit, **deed, "parameters": facts}]
    else:
        actions = [{"action": "c2pa.created", **deed, "parameters": facts}]
    generator = {"name": "Darkroom", "version": version, RUNTIME: f"{origin.runtime} ({origin.runtime_type})"}
    if origin.model:
        generator[MODEL] = origin.model
    if origin.submission_id:
        generator[SUBMISSION] = origin.submission_id
    return {
        "claim_generator_info": [generator],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions, "allActionsIncluded": True}}],
    }
