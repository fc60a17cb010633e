"""What a task's pictures are made from, and what that makes of them: pure decisions over its content."""

from __future__ import annotations

from typing import Any

from darkroom.policy.comfyui_workflow import ReadWorkflow, read_workflow
from darkroom.tasks.task import JsonObject, TaskKind, object_or_empty
from darkroom.tasks.v1alpha1 import translate_content

# They enlarge by arithmetic; all others of SD Web UI's are networks.
_ARITHMETIC = frozenset({"", "none", "lanczos", "nearest"})
_FACE_RESTORERS = ("gfpgan_visibility", "codeformer_visibility")
# Loaders of ComfyUI that name a model that makes pictures, with the input that does, the first of a workflow counting.
_MODEL_INPUTS = ("ckpt_name", "unet_name", "unet_name_gguf")
_PROMPTS = ("prompt", "negative_prompt")


def input_pictures(kind: TaskKind, content: JsonObject) -> list[str]:
    """The pictures that the task's are made from, as they stand in its content: links, or base64.

    Not those that only guide it, as ControlNet's do, and not masks. A workflow's are known by its links alone.
    """
    match kind:
        case TaskKind.IMAGE_TO_IMAGE:
            found = translate_content(content).get("init_images")
        case TaskKind.EXTRA_SINGLE_IMAGE:
            found = [content.get("image")]
        case TaskKind.EXTRA_BATCH_IMAGES:
            entries = content.get("imageList")
            found = [object_or_empty(entry).get("data") for entry in entries] if isinstance(entries, list) else []
        case _:
            found = []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def takes_pictures(content: JsonObject) -> bool:
    """Whether a workflow loads pictures or films, by what the nodes of all authors that do are called."""
    found = read_workflow(content)
    if not isinstance(found, ReadWorkflow):
        return False
    names = (str(node.get("class_type", "")).lower() for node in found.workflow.values())
    return any("load" in name and ("image" in name or "video" in name) for name in names)


def enlarging_network(content: JsonObject) -> str | None:
    """The trained network that an upscaling has work on the picture, by its name; None where there is none."""
    for name in (content.get("upscaler_1"), content.get("upscaler_2")):
        if isinstance(name, str) and name.strip().lower() not in _ARITHMETIC:
            return name
    restorers = (name for name in _FACE_RESTORERS if _is_positive(content.get(name)))
    return next((name.removesuffix("_visibility") for name in restorers), None)


def named_model(content: JsonObject) -> str | None:
    """The model that a workflow names, if it names one."""
    found = read_workflow(content)
    if not isinstance(found, ReadWorkflow):
        return None
    for node in found.workflow.values():
        inputs = object_or_empty(node.get("inputs"))
        for name in _MODEL_INPUTS:
            if isinstance(inputs.get(name), str):
                return str(inputs[name])
    return None


def prompts_of(kind: TaskKind, content: JsonObject) -> dict[str, str]:
    """What the task's pictures were asked for by, by name; a workflow's words stand in many nodes and are not told."""
    if kind not in (TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE):
        return {}
    return {name: content[name] for name in _PROMPTS if isinstance(content.get(name), str) and content[name]}


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
