"""What ComfyUI's refusals and failures mean, in words that name the node."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    OutOfMemory,
    RuntimeFailure,
    RuntimeUnavailable,
)
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.runtimes.comfyui.workflow import describe_node
from darkroom.runtimes.http import Answer, as_text, shorten

# PyTorch's class and texts, on a GPU and on a CPU; `Allocation on device` is ComfyUI's own.
_MEMORY_TEXTS = (
    "OutOfMemoryError",
    "MemoryError",
    "out of memory",
    "Allocation on device",
    "DefaultCPUAllocator",
    "std::bad_alloc",
)
_PROXY_STATUSES = frozenset({502, 503, 504})


def refusal_of(answer: Answer, workflow: Workflow) -> RuntimeFailure:
    """The error that stands for an answer other than 200 to a submission."""
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if answer.status == 400 and isinstance(document, dict):
        return GenerationRefused(f"the runtime refused the workflow: {_refusal_reason(document, workflow)}")
    reason = shorten(answer.body.decode(errors="replace")) or f"HTTP {answer.status}"
    if answer.status in _PROXY_STATUSES:
        return RuntimeUnavailable(f"the runtime is not available: {reason}")
    if answer.status in (404, 405):
        return RuntimeUnavailable(f"there is no ComfyUI at this address: {reason}")
    if answer.status < 500:
        return GenerationRefused(f"the runtime refused the workflow (HTTP {answer.status}): {reason}")
    return GenerationFailed(f"the runtime failed (HTTP {answer.status}): {reason}")


def describe_node_errors(node_errors: Any, workflow: Workflow) -> list[str]:
    """One sentence for each fault in `node_errors`, which a 200 may carry too, when some outputs are valid."""
    if not isinstance(node_errors, dict):
        return []
    sentences = []
    for node_id, entry in node_errors.items():
        errors = entry.get("errors") if isinstance(entry, dict) else None
        for error in errors if isinstance(errors, list) else []:
            sentences.append(f"node {describe_node(workflow, node_id)}: {_message(error)}")
    return sentences


def failure_of_event(event: str, data: Any, workflow: Workflow) -> RuntimeFailure:
    """The error that stands for `execution_error` or `execution_interrupted`."""
    facts = data if isinstance(data, dict) else {}
    node = describe_node(workflow, str(facts.get("node_id")))
    if event == "execution_interrupted":
        return GenerationInterrupted(f"the workflow was interrupted at node {node}")
    kind, message = facts.get("exception_type", "error"), shorten(as_text(facts.get("exception_message", "")))
    said = f"node {node} failed: {kind}: {message}"
    return OutOfMemory(said) if any(text in said for text in _MEMORY_TEXTS) else GenerationFailed(said)


def _refusal_reason(document: dict[str, Any], workflow: Workflow) -> str:
    # The error itself often says no more than that validation failed.
    sentences = describe_node_errors(document.get("node_errors"), workflow)
    return "; ".join(sentences) if sentences else _message(document.get("error"))


def _message(error: Any) -> str:
    if not isinstance(error, dict):
        return shorten(as_text(error))
    message, details = as_text(error.get("message", "")), as_text(error.get("details", ""))
    return shorten(f"{message} ({details})" if details and details != message else message)
