"""A ComfyUI workflow: read from a task's content, and prepared for the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from darkroom.errors import GenerationRefused
from darkroom.policy import comfyui_workflow
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.policy.links import replace_strings
from darkroom.tasks.task import JsonObject, object_or_empty

WEBSOCKET_OUTPUT = "SaveImageWebsocket"
# The server leaves out inputs that a node does not have when it calls the node, and counts them when it compares.
_SALT_INPUT = "darkroom_run"
# The inputs in which ComfyUI's own loaders take a checkpoint, or a diffusion model that comes without the rest of one.
_CHECKPOINT_INPUTS = ("ckpt_name", "unet_name")


def read_workflow(content: JsonObject) -> tuple[Workflow, JsonObject]:
    """The workflow, and what else belongs into the request's `extra_data`. Raises `GenerationRefused` for what is none.

    The front door judges more of it (`darkroom.policy.comfyui_workflow`); what came past it is left to the server.
    """
    found = comfyui_workflow.read_workflow(content)
    if isinstance(found, comfyui_workflow.ReadWorkflow):
        return found.workflow, found.extra
    reasons = "; ".join(f"{finding.path}: {finding.reason}" if finding.path else finding.reason for finding in found)
    raise GenerationRefused(f"the content is no workflow: {reasons}")


def with_uploads(workflow: Workflow, inputs: Iterable[tuple[str, str]], names: Mapping[str, str]) -> Workflow:
    """`workflow` with the name of an uploaded file in the place of each link in `inputs`, by node and name."""
    changed = dict(workflow)
    for node_id, name in inputs:
        node = changed[node_id]
        values = node["inputs"]
        changed[node_id] = {**node, "inputs": {**values, name: replace_strings(values[name], names)}}
    return changed


def salted(workflow: Workflow, node_ids: Iterable[str], salt: str) -> Workflow:
    """`workflow` with an input that no node has in some nodes, so that the server does not answer from its cache."""
    changed = dict(workflow)
    for node_id in node_ids:
        node = workflow.get(node_id)
        if node is not None:
            changed[node_id] = {**node, "inputs": {**node.get("inputs", {}), _SALT_INPUT: salt}}
    return changed


def describe_node(workflow: Workflow, node_id: str) -> str:
    """A node as its author knows it: id, class, and title where that says more."""
    node = object_or_empty(workflow.get(node_id))
    class_type = node.get("class_type", "unknown")
    title = object_or_empty(node.get("_meta")).get("title")
    return f"{node_id} ({class_type}, {title!r})" if title and title != class_type else f"{node_id} ({class_type})"


def checkpoints(workflow: Workflow) -> str | None:
    """The checkpoints that a workflow names, with commas between them; None where it names none."""
    inputs = [object_or_empty(node.get("inputs")) for node in workflow.values()]
    named = [values[name] for values in inputs for name in _CHECKPOINT_INPUTS if isinstance(values.get(name), str)]
    return ", ".join(dict.fromkeys(named)) or None


def websocket_nodes(workflow: Workflow) -> frozenset[str]:
    """The nodes whose pictures are sent on the websocket and kept nowhere."""
    return frozenset(node_id for node_id, node in workflow.items() if node.get("class_type") == WEBSOCKET_OUTPUT)
