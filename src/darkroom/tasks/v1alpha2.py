"""The request of the guide's v1alpha2 API: `{"task": {"metadata": {...}, "content": {...}}}`."""

from __future__ import annotations

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.draft import Draft, FieldReader, without_nulls
from darkroom.tasks.submission_terms import read_deadline, read_on_duplicate, read_priority
from darkroom.tasks.task import JsonObject, TaskKind
from darkroom.tasks.v1alpha1 import check_content
from darkroom.tasks.webhook import Webhook

_METADATA = (
    "id",
    "runtime",
    "tasktype",
    "prefix",
    "context",
    "timeout",
    "deadline",
    "on_duplicate",
    "priority",
    "webhook",
)
_OPTIONAL = ("timeout", "deadline", "on_duplicate", "priority", "webhook")
_TASK = ("metadata", "content")
_WEBHOOK = ("url", "events")


class AcceptedReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller is told at once. The guide documents `id_task`; its sample code returns `id`: both are here.

    `status_url` and `cancel_url` are where the task can be looked up (GET) and stopped (PUT), with the same key.
    `warnings` say what of the request will be ignored, or taken for something else than was written.
    """

    id_task: str
    id: str
    runtime: str
    output_location: str
    status_url: str | None = None
    cancel_url: str | None = None
    warnings: tuple[Fault, ...] = ()


def decode_request(body: bytes | str) -> Draft:
    """Read a request body; what is wrong with it stands in the draft's `faults`."""
    reader = FieldReader()
    document = reader.document(body, "the request body")
    task = reader.required(document, "task", "task", dict) or {}
    if "task" not in document or not isinstance(document["task"], dict):
        return Draft(paths={}, faults=tuple(reader.faults))
    reader.warn_of_unknown(document, ("task",), at="")
    return read_task(reader, task, at="task.")


def read_task(reader: FieldReader, task: JsonObject, at: str) -> Draft:
    """Read `{"metadata", "content"}`, which stands at the path `at` of what the caller sent ("" for a message)."""
    metadata = reader.required(task, "metadata", f"{at}metadata", dict)
    content = reader.required(task, "content", f"{at}content", dict)
    if content is not None:
        check_content(reader, content, f"{at}content.")
    if metadata is None:
        return Draft(paths={}, faults=tuple(reader.faults), content=content)
    reader.warn_of_unknown(task, _TASK, at)
    reader.warn_of_unknown(metadata, _METADATA, f"{at}metadata.")
    metadata = without_nulls(metadata, _OPTIONAL)
    paths = {
        "id": f"{at}metadata.id",
        "runtime": f"{at}metadata.runtime",
        "kind": f"{at}metadata.tasktype",
        "prefix": f"{at}metadata.prefix",
        "timeout_seconds": f"{at}metadata.timeout",
        "webhook": f"{at}metadata.webhook",
        "deadline": f"{at}metadata.deadline",
        "on_duplicate": f"{at}metadata.on_duplicate",
        "priority": f"{at}metadata.priority",
        "content": f"{at}content",
    }
    return Draft(
        paths=paths,
        id=reader.required(metadata, "id", paths["id"], str),
        runtime=reader.required(metadata, "runtime", paths["runtime"], str),
        kind=reader.required(metadata, "tasktype", paths["kind"], TaskKind),
        prefix=reader.required(metadata, "prefix", paths["prefix"], str),
        context=metadata.get("context", {}),
        timeout_seconds=reader.optional(metadata, "timeout", paths["timeout_seconds"], float),
        webhook=_read_webhook(reader, metadata, paths["webhook"]),
        deadline=read_deadline(reader, metadata, paths["deadline"]),
        on_duplicate=read_on_duplicate(reader, metadata, paths["on_duplicate"]),
        priority=read_priority(reader, metadata, paths["priority"]),
        content=content,
        faults=tuple(reader.faults),
        warnings=tuple(reader.warnings),
    )


def _read_webhook(reader: FieldReader, metadata: JsonObject, path: str) -> Webhook | None:
    webhook = reader.optional(metadata, "webhook", path, dict)
    if webhook is None:
        return None
    reader.warn_of_unknown(webhook, _WEBHOOK, f"{path}.")
    url = reader.required(webhook, "url", f"{path}.url", str)
    events = reader.optional(without_nulls(webhook, ("events",)), "events", f"{path}.events", list[str])
    return None if url is None else Webhook(url, tuple(events or ()))
