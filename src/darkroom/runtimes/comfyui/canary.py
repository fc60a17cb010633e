"""Workflows that cannot fail on a ComfyUI that is well. They need no model, and leave only a temporary file behind."""

from __future__ import annotations

from typing import Any

from darkroom.policy.comfyui_workflow import Workflow

_SIZE = 64


def canary_workflows(color: int) -> tuple[Workflow, ...]:
    """One that uses the device, and one for a server that lacks the node for that. `color` makes them new."""
    empty: dict[str, Any] = {"width": _SIZE, "height": _SIZE, "batch_size": 1, "color": color}
    painted: Workflow = {"1": {"class_type": "EmptyImage", "inputs": empty}}
    blur = {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 1, "sigma": 1.0}}
    return (
        {**painted, "2": blur, "3": _preview("2")},
        {**painted, "3": _preview("1")},
    )


def _preview(node_id: str) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": [node_id, 0]}}
