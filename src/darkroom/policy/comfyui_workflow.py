"""What can be seen of a ComfyUI workflow without its server: that it is one, and that its nodes fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from darkroom.policy.field_rules import Finding
from darkroom.tasks.hints import did_you_mean, quoted
from darkroom.tasks.task import JsonObject, object_or_empty

Workflow = dict[str, dict[str, Any]]

# What ComfyUI's own request body may hold beside the workflow.
_REQUEST_FIELDS = ("prompt", "extra_data", "client_id", "prompt_id", "front", "number", "partial_execution_targets")
# Nodes of ComfyUI itself (0.3) that make an output, and common ones that do not. Others may be either.
_OUTPUTS = frozenset(
    {
        "CLIPSave", "CheckpointSave", "ImageSave", "MaskPreview", "ModelSave", "Preview3D",
        "Preview3DAnimation", "PreviewAny", "PreviewAudio", "PreviewImage", "SaveAnimatedPNG",
        "SaveAnimatedWEBP", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveGLB", "SaveImage",
        "SaveImageWebsocket", "SaveLatent", "SaveSVGNode", "SaveVideo", "SaveWEBM", "VAESave",
    }
)  # fmt: skip
_NO_OUTPUTS = frozenset(
    {
        "CLIPLoader", "CLIPSetLastLayer", "CLIPTextEncode", "CLIPTextEncodeSDXL", "CLIPVisionEncode",
        "CLIPVisionLoader", "CheckpointLoader", "CheckpointLoaderSimple", "ConditioningAverage",
        "ConditioningCombine", "ConditioningConcat", "ConditioningSetArea", "ConditioningSetMask",
        "ConditioningZeroOut", "ControlNetApply", "ControlNetApplyAdvanced", "ControlNetLoader",
        "DualCLIPLoader", "EmptyImage", "EmptyLatentImage", "EmptySD3LatentImage", "FluxGuidance",
        "ImageBatch", "ImageBlend", "ImageCrop", "ImageInvert", "ImagePadForOutpaint", "ImageScale",
        "ImageScaleBy", "ImageUpscaleWithModel", "InpaintModelConditioning", "InvertMask", "KSampler",
        "KSamplerAdvanced", "KSamplerSelect", "LatentBlend", "LatentComposite", "LatentFromBatch",
        "LatentUpscale", "LatentUpscaleBy", "LoadImage", "LoadImageMask", "LoadLatent", "LoraLoader",
        "LoraLoaderModelOnly", "MaskToImage", "ModelMergeSimple", "ModelSamplingDiscrete",
        "ModelSamplingFlux", "RandomNoise", "RepeatLatentBatch", "SamplerCustom", "SamplerCustomAdvanced",
        "SetLatentNoiseMask", "StyleModelApply", "StyleModelLoader", "UNETLoader", "UpscaleModelLoader",
        "VAEDecode", "VAEDecodeTiled", "VAEEncode", "VAEEncodeForInpaint", "VAELoader", "unCLIPConditioning",
    }
)  # fmt: skip

_EDITORS_FORM = 'is a workflow as the editor saves it; export it with "Save (API Format)", or "Export (API)", instead'
_NO_WORKFLOW = "must be a workflow in ComfyUI's API format: an object that maps each node's id to the node"


class ReadWorkflow(msgspec.Struct, frozen=True):
    """A workflow, what else belongs into the request's `extra_data`, and where in the content the workflow stands."""

    workflow: Workflow
    extra: JsonObject
    at: str


def read_workflow(content: JsonObject) -> ReadWorkflow | tuple[Finding, ...]:
    """The workflow in a task's content, or why it is none.

    Takes what ComfyUI exports as "API Format", bare or as the `prompt` of a request body.
    """
    workflow: Any = content
    extra: Any = {}
    at = ""
    if "prompt" in content and "class_type" not in object_or_empty(content["prompt"]):
        workflow, extra, at = content["prompt"], content.get("extra_data") or {}, "prompt"
    if isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list):
        return (Finding(at, _EDITORS_FORM),)
    if not isinstance(workflow, dict) or not workflow:
        return (Finding(at, _NO_WORKFLOW),)
    faults = [*_malformed(workflow, at)]
    if not isinstance(extra, dict):
        faults.append(Finding("extra_data", f"must be an object, not {quoted(extra)}"))
    return tuple(faults) if faults else ReadWorkflow(workflow, extra, at)


def judge_workflow(content: JsonObject) -> Iterator[Finding]:
    """Everything that is to be said of the content of a ComfyUI task."""
    found = read_workflow(content)
    if not isinstance(found, ReadWorkflow):
        yield from found
        return
    if found.at:
        for name in content:
            if name not in _REQUEST_FIELDS:
                hint = did_you_mean(name, _REQUEST_FIELDS)
                yield Finding(name, f"is no field of ComfyUI's request, and is ignored{hint}", is_fault=False)
    links = {node_id: dict(_links(node)) for node_id, node in found.workflow.items()}
    missing = list(_missing(found.workflow, links, found.at))
    yield from missing
    if not missing:
        yield from _circles(links, found.at)
    classes = {node["class_type"] for node in found.workflow.values()}
    if classes <= _NO_OUTPUTS:
        yield Finding(found.at, "has no node that makes an output; add one, SaveImage for example")


def _malformed(workflow: Mapping[str, Any], at: str) -> Iterator[Finding]:
    for node_id, node in workflow.items():
        path = _path(at, node_id)
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            yield Finding(path, "is no node: a node has a class_type, and inputs")
        elif not isinstance(node.get("inputs", {}), dict):
            yield Finding(f"{path}.inputs", f"must be an object, not {quoted(node['inputs'])}")


def _links(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The inputs of a node that are another node's output, by ComfyUI's own rule: a list of an id and a number."""
    for name, value in node.get("inputs", {}).items():
        match value:
            case [str() as source, int() | float()]:
                yield name, source


def _missing(workflow: Workflow, links: Mapping[str, Mapping[str, str]], at: str) -> Iterator[Finding]:
    for node_id, inputs in links.items():
        for name, source in inputs.items():
            if source not in workflow:
                reason = f"leads to node {quoted(source)}, which is not in the workflow"
                yield Finding(f"{_path(at, node_id)}.inputs.{name}", reason)


def _circles(links: Mapping[str, Mapping[str, str]], at: str) -> Iterator[Finding]:
    """The first circle: nodes that wait for each other."""
    done: set[str] = set()
    for start in links:
        path: list[str] = []
        on_path: set[str] = set()
        stack = [(start, iter(links[start].values()))] if start not in done else []
        if stack:
            path.append(start)
            on_path.add(start)
        while stack:
            node_id, sources = stack[-1]
            source = next(sources, None)
            if source is None:
                stack.pop()
                path.pop()
                on_path.discard(node_id)
                done.add(node_id)
            elif source in on_path:
                circle = [*path[path.index(source) :], source]
                yield Finding(_path(at, source), f"waits for itself: {' ← '.join(circle[:8])}")
                return
            elif source not in done:
                stack.append((source, iter(links[source].values())))
                path.append(source)
                on_path.add(source)


def _path(at: str, node_id: str) -> str:
    return f"{at}.{node_id}" if at else node_id
