"""Which links of a workflow are to be fetched: those in inputs that take files. Elsewhere a URL is meant as a URL.

The server itself knows: an input that takes files has a button for uploading in the editor, and `object_info` says so.
Nodes that add their button in the browser alone are listed here, and users can list more. A node can also say either
of itself, in `_meta`, which the server ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.errors import GenerationRefused
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.policy.links import find_links
from darkroom.policy.media_types import AUDIO, PICTURES, VIDEOS, Kinds
from darkroom.runtimes.comfyui.server import ComfyUiServer
from darkroom.tasks.hints import quoted

EXPLICIT = "fetch_links"
_ANY = PICTURES | VIDEOS | AUDIO
# What an input's options say of the button that it has.
_BUTTONS: Mapping[str, Kinds] = {
    "image_upload": PICTURES,
    "animated_image_upload": PICTURES | VIDEOS,
    "video_upload": PICTURES | VIDEOS,
    "audio_upload": AUDIO | VIDEOS,
}
_LISTED: Mapping[str, Kinds] = {
    "LoadImage.image": PICTURES,
    "LoadImageMask.image": PICTURES,
    "LoadImageOutput.image": PICTURES,
    "LoadAudio.audio": AUDIO | VIDEOS,
    "LoadVideo.file": PICTURES | VIDEOS,
    "VHS_LoadVideo.video": PICTURES | VIDEOS,
    "VHS_LoadAudioUpload.audio": AUDIO | VIDEOS,
}

FileInputs = dict[tuple[str, str], Kinds]
"""Inputs by their node's id and their name, and the kinds of files that each takes."""


async def find_file_inputs(workflow: Workflow, server: ComfyUiServer, listed: tuple[str, ...]) -> FileInputs:
    """The inputs that hold links to be fetched. `listed` are the user's own: `Class.input`, or `Class` for all of them.

    The server is asked each time, for nodes can be added while it runs, and only for nodes that hold links. Raises
    `GenerationRefused` for a `_meta` that says neither, and `RuntimeUnavailable`.
    """
    found: FileInputs = {}
    known: dict[str, Mapping[str, Any]] = {}
    for node_id, node in workflow.items():
        names = [name for name, value in node.get("inputs", {}).items() if any(find_links({name: value}))]
        explicit = _explicit(node_id, node)
        if not names or explicit is False:
            continue
        class_type = node["class_type"]
        if explicit is None and class_type not in known:
            known[class_type] = await server.read_input_options(class_type)
        for name in names:
            kinds = _ANY if explicit else _kinds(class_type, name, known.get(class_type, {}), listed)
            if kinds:
                found[node_id, name] = kinds
    return found


def wanted_of(workflow: Workflow, inputs: FileInputs) -> dict[str, Kinds]:
    """Each link in `inputs`, and the kinds of files that it may lead to."""
    wanted: dict[str, Kinds] = {}
    for (node_id, name), kinds in inputs.items():
        for link in find_links({name: workflow[node_id]["inputs"][name]}):
            wanted[link] = wanted.get(link, frozenset()) | kinds
    return wanted


def _explicit(node_id: str, node: Mapping[str, Any]) -> bool | None:
    meta = node.get("_meta")
    said = meta.get(EXPLICIT) if isinstance(meta, dict) else None
    if said is not None and not isinstance(said, bool):
        raise GenerationRefused(f"_meta.{EXPLICIT} of node {node_id!r} must be true or false, not {quoted(said)}")
    return said


def _kinds(class_type: str, name: str, options: Mapping[str, Any], listed: tuple[str, ...]) -> Kinds:
    if class_type in listed or f"{class_type}.{name}" in listed:
        return _ANY
    of_input = options.get(name)
    buttons = of_input if isinstance(of_input, dict) else {}
    kinds = _LISTED.get(f"{class_type}.{name}", frozenset())
    return kinds.union(*(taken for button, taken in _BUTTONS.items() if buttons.get(button)))
