"""What a fake ComfyUI knows of nodes: which exist, what is wrong with a workflow, and which files one leaves behind."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from darkroom.testing import pictures

Workflow = dict[str, Any]

# Output nodes: the key under which a file is listed, its extension, and its type.
OUTPUT_NODES: dict[str, tuple[str, str, str]] = {
    "SaveImage": ("images", "png", "output"),
    "PreviewImage": ("images", "png", "temp"),
    "SaveAnimatedWEBP": ("images", "webp", "output"),
    "SaveAnimatedPNG": ("images", "png", "output"),
    "SaveWEBM": ("images", "webm", "output"),
    "VHS_VideoCombine": ("gifs", "gif", "output"),
    "SaveVideo": ("videos", "mp4", "output"),
    "SaveLatent": ("latents", "latent", "output"),
    "SaveGLB": ("3d", "glb", "output"),
    "PreviewAny": ("text", "", "output"),
    "SaveImageWebsocket": ("", "", "output"),
}
NODES = frozenset(
    {"CheckpointLoaderSimple", "EmptyLatentImage", "CLIPTextEncode", "KSampler", "VAEDecode", "VAEEncode", "LoadImage"}
    | {"EmptyImage", "ImageBlur"}
    | OUTPUT_NODES.keys()
)
# Inputs with a button for uploading, as `object_info` tells of them.
FILE_INPUTS: dict[str, dict[str, dict[str, bool]]] = {
    "LoadImage": {"image": {"image_upload": True}},
    "LoadVideo": {"file": {"video_upload": True}},
}
_REQUIRED = {"KSampler": ("model", "positive", "negative", "latent_image"), "VAEDecode": ("samples",)}


@dataclass(frozen=True)
class Scene:
    """What the nodes before an output node amount to."""

    prompt: str = ""
    seed: int = 0
    width: int = 512
    height: int = 512
    count: int = 1
    steps: int = 1


def ancestors(workflow: Workflow, node_id: str) -> list[str]:
    """The nodes that `node_id` needs, inputs first, itself last."""
    order: list[str] = []

    def visit(current: str) -> None:
        if current in order or current not in workflow:
            return
        for value in workflow[current].get("inputs", {}).values():
            if isinstance(value, list) and len(value) == 2:
                visit(str(value[0]))
        order.append(current)

    visit(node_id)
    return order


def signature(workflow: Workflow, node_id: str) -> str:
    """What a node's result depends on: its own inputs and those of all nodes before it."""
    parts = [(workflow[name]["class_type"], workflow[name]["inputs"]) for name in ancestors(workflow, node_id)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def invalid_structure(workflow: Workflow) -> dict[str, Any] | None:
    """The `error` of a workflow that is refused as a whole, before any node is looked at."""
    for node_id, node in workflow.items():
        if not isinstance(node, dict) or "class_type" not in node:
            return _error(
                "invalid_prompt", "Cannot execute because a node is missing the class_type property.", node_id
            )
        if node["class_type"] not in NODES:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return _error("invalid_prompt", message, node_id)
    if not any(node["class_type"] in OUTPUT_NODES for node in workflow.values()):
        return _error("prompt_no_outputs", "Prompt has no outputs", None)
    return None


def node_faults(workflow: Workflow, node_id: str, checkpoints: list[str], inputs: set[str]) -> list[dict[str, Any]]:
    """What is wrong with one node's inputs."""
    node = workflow[node_id]
    values = node.get("inputs", {})
    faults = [
        _fault("required_input_missing", "Required input is missing", name)
        for name in _REQUIRED.get(node["class_type"], ())
        if name not in values
    ]
    for value in values.values():
        if isinstance(value, list) and str(value[0]) not in workflow:
            faults.append(_fault("exception_during_validation", "Exception when validating node", f"'{value[0]}'"))
    if node["class_type"] == "CheckpointLoaderSimple" and values.get("ckpt_name") not in checkpoints:
        details = f"ckpt_name: {values.get('ckpt_name')!r} not in {checkpoints}"
        faults.append(_fault("value_not_in_list", "Value not in list", details))
    if node["class_type"] == "LoadImage" and values.get("image") not in inputs:
        details = f"image - Invalid image file: {values.get('image')}"
        faults.append(_fault("custom_validation_failed", "Custom validation failed for node", details))
    if node["class_type"] == "KSampler" and isinstance(values.get("steps"), int) and values["steps"] < 1:
        details = f"Value {values['steps']} smaller than min of 1"
        faults.append(_fault("value_smaller_than_min", details, "steps"))
    return faults


def reachable_outputs(workflow: Workflow, checkpoints: list[str], inputs: set[str]) -> tuple[list[str], dict[str, Any]]:
    """The output nodes that can be reached without a fault, and the faults; `inputs` are the files that were sent."""
    outputs: list[str] = []
    node_errors: dict[str, Any] = {}
    for node_id, node in workflow.items():
        if node["class_type"] not in OUTPUT_NODES:
            continue
        is_valid = True
        for needed in ancestors(workflow, node_id):
            faults = node_faults(workflow, needed, checkpoints, inputs)
            if faults:
                is_valid = False
                class_type = workflow[needed]["class_type"]
                entry = {"errors": faults, "dependent_outputs": [], "class_type": class_type}
                node_errors.setdefault(needed, entry)["dependent_outputs"].append(node_id)
        if is_valid:
            outputs.append(node_id)
    return outputs, node_errors


def scene_of(workflow: Workflow, node_id: str) -> Scene:
    """Follow the links back from an output node."""
    facts: dict[str, Any] = {}
    for name in ancestors(workflow, node_id):
        node = workflow[name]
        values = node["inputs"]
        if node["class_type"] == "EmptyLatentImage":
            facts |= {"width": values["width"], "height": values["height"], "count": values.get("batch_size", 1)}
        elif node["class_type"] == "EmptyImage":
            facts |= {"width": values["width"], "height": values["height"], "seed": values["color"]}
        elif node["class_type"] == "KSampler":
            facts |= {"seed": values["seed"], "steps": values["steps"]}
            positive = workflow[str(values["positive"][0])]
            facts["prompt"] = positive["inputs"].get("text", "")
    return Scene(**facts)


def make_files(class_type: str, scene: Scene, initial: bytes | None) -> Iterator[bytes]:
    """The files that an output node writes."""
    if class_type == "SaveWEBM":
        yield bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d") + b"\0" * 200
    elif class_type == "SaveVideo":
        yield b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 200
    elif class_type == "SaveGLB":
        yield b"glTF\x02\0\0\0" + b"\0" * 200
    elif class_type == "SaveLatent":
        header = json.dumps({"latent_tensor": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        yield len(header).to_bytes(8, "little") + header + b"\0" * 4
    elif class_type in ("SaveAnimatedWEBP", "SaveAnimatedPNG", "VHS_VideoCombine"):
        file_format = {"SaveAnimatedWEBP": "WEBP", "SaveAnimatedPNG": "PNG"}.get(class_type, "GIF")
        frames = [_paint(scene, number, initial) for number in range(max(2, scene.count))]
        buffer = io.BytesIO()
        frames[0].save(buffer, format=file_format, save_all=True, append_images=frames[1:])
        yield buffer.getvalue()
    else:
        for number in range(scene.count):
            yield pictures.encode(_paint(scene, number, initial))


def _paint(scene: Scene, number: int, initial: bytes | None) -> Image.Image:
    if initial is not None:
        picture = pictures.decode(initial)
        return pictures.over(picture, picture.width, picture.height, scene.seed + number, scene.prompt)
    return pictures.paint(scene.width, scene.height, scene.seed + number, scene.prompt)


def _fault(kind: str, message: str, details: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _error(kind: str, message: str, node_id: str | None) -> dict[str, Any]:
    details = f"Node ID '#{node_id}'" if node_id is not None else ""
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def text_to_image_workflow(
    *,
    prompt: str = "a cat",
    seed: int = 1,
    steps: int = 2,
    width: int = 64,
    height: int = 64,
    batch_size: int = 1,
    checkpoint: str = "v1-5-pruned-emaonly.safetensors",
    output: str = "SaveImage",
    filename_prefix: str = "ComfyUI",
) -> Workflow:
    """The smallest workflow that makes pictures, as ComfyUI exports it; node 9 is the output."""
    sampler = {"seed": seed, "steps": steps, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    size = {"width": width, "height": height, "batch_size": batch_size}
    saved: dict[str, Any] = {"filename_prefix": filename_prefix, "images": ["8", 0]}
    return {
        "3": {"class_type": "KSampler", "inputs": {**sampler, **links}, "_meta": {"title": "KSampler"}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": size},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": output, "inputs": saved, "_meta": {"title": "Save Image"}},
    }


def image_to_image_workflow(image: str, *, seed: int = 1) -> Workflow:
    """A workflow that begins with a picture: the name of an uploaded file, or a link to one."""
    workflow = text_to_image_workflow(seed=seed)
    workflow["5"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["12", 0], "vae": ["4", 2]}}
    workflow["12"] = {"class_type": "LoadImage", "inputs": {"image": image}}
    return workflow
