"""ComfyUI's record of a job: how it ended, and which files it named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.errors import GenerationFailed, RuntimeFailure
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.runtimes.comfyui.errors import failure_of_event
from darkroom.tasks.task import JsonObject

_ENDS = ("execution_error", "execution_interrupted")


@dataclass(frozen=True)
class NamedFile:
    """A file that a node's output names. `path` is where it stands in the record; `kind` is output or temp."""

    path: tuple[str | int, ...]
    name: str
    folder: str
    kind: str

    @property
    def query(self) -> dict[str, str]:
        """The question that `/view` answers with the file."""
        return {"filename": self.name, "subfolder": self.folder, "type": self.kind}

    @property
    def extension(self) -> str:
        """What stands behind the last dot of its name, or nothing."""
        return self.name.rpartition(".")[2] if "." in self.name else ""

    @property
    def node_id(self) -> str:
        """The node that named it."""
        return str(self.path[1])


def failure_of_record(record: JsonObject, workflow: Workflow) -> RuntimeFailure | None:
    """Why the job failed, or None. The status says only "error"; the last message tells an interrupt from a fault."""
    status = record.get("status")
    if not isinstance(status, dict) or status.get("status_str") == "success":
        return None
    messages = status.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, list) and len(message) == 2 and message[0] in _ENDS:
            return failure_of_event(message[0], message[1], workflow)
    return GenerationFailed(f"the runtime failed: {status.get('status_str')}")


def cached_nodes(record: JsonObject) -> frozenset[str]:
    """The nodes that were not executed, because an earlier job's result was at hand."""
    status = record.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, list) and len(message) == 2 and message[0] == "execution_cached":
            return frozenset(str(node) for node in message[1].get("nodes", ()))
    return frozenset()


def named_files(record: JsonObject) -> list[NamedFile]:
    """Every file that any output names, under whatever key; ordered by node, for the record's order is not stable."""
    outputs = record.get("outputs")
    found: list[NamedFile] = []
    if isinstance(outputs, dict):
        for node_id in sorted(outputs, key=_natural):
            found.extend(_walk(outputs[node_id], ("outputs", node_id)))
    # A node that shows what it was given names the input, which is no result.
    return [file for file in found if file.kind != "input"]


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[NamedFile]:
    if isinstance(value, dict):
        name = value.get("filename")
        if isinstance(name, str) and name:
            folder, kind = value.get("subfolder"), value.get("type")
            yield NamedFile(path, name, str(folder or ""), str(kind or "output"))
            return
        for key, inner in value.items():
            yield from _walk(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, (*path, number))


def _natural(text: str) -> list[tuple[int, int | str]]:
    """The order in which a person would sort "9" before "10"."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.findall(r"\d+|\D+", text)]
