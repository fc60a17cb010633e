"""A ComfyUI workflow: read from a task's content, and prepared for the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from darkroom.errors import GenerationRefused
from darkroom.policy.links import replace_strings
from darkroom.tasks.task import JsonObject

Workflow = dict[str, dict[str, Any]]

WEBSOCKET_OUTPUT = "SaveImageWebsocket"
# The server leaves out inputs that a node does not have when it calls the node, and counts them when it compares.
_SALT_INPUT = "darkroom_run"


def read_workflow(content: JsonObject) -> tuple[Workflow, JsonObject]:
    """The workflow, and what else belongs into the request's `extra_data`.

    Takes what ComfyUI exports as "API Format", bare or as the `prompt` of a request body. Raises `GenerationRefused`
    for anything else.
    """
    workflow: Any = content
    extra: Any = {}
    if "class_type" not in _object(content.get("prompt")) and "prompt" in content:
        workflow, extra = content["prompt"], content.get("extra_data") or {}
    if isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list):
        raise GenerationRefused(
            'the content is a workflow as the editor saves it; export it with "Save (API Format)" instead'
        )
    if not isinstance(workflow, dict) or not workflow:
        raise GenerationRefused("the content must be a workflow: an object that maps each node's id to the node")
    for node_id, node in workflow.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise GenerationRefused(f"node {node_id!r} of the workflow has no class_type")
        if not isinstance(node.get("inputs", {}), dict):
            raise GenerationRefused(f"the inputs of node {node_id!r} of the workflow must be an object")
    if not isinstance(extra, dict):
        raise GenerationRefused("extra_data must be an object")
    return workflow, extra


def with_uploads(workflow: Workflow, names: Mapping[str, str]) -> Workflow:
    """`workflow` with the name of an uploaded file in the place of each link."""
    replaced: Workflow = replace_strings(workflow, names) if names else workflow
    return replaced


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
    node = _object(workflow.get(node_id))
    class_type = node.get("class_type", "unknown")
    title = _object(node.get("_meta")).get("title")
    return f"{node_id} ({class_type}, {title!r})" if title and title != class_type else f"{node_id} ({class_type})"


def websocket_nodes(workflow: Workflow) -> frozenset[str]:
    """The nodes whose pictures are sent on the websocket and kept nowhere."""
    return frozenset(node_id for node_id, node in workflow.items() if node.get("class_type") == WEBSOCKET_OUTPUT)


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
