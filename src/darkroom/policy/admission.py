"""Whether a request is let in, and where it goes; a refusal names every fault at once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from darkroom.errors import Fault
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.content import judge_content
from darkroom.policy.object_keys import LONGEST_SUFFIX_BYTES, MAXIMUM_KEY_BYTES, RESERVED_PREFIX
from darkroom.policy.webhook_urls import faults_of_webhook
from darkroom.tasks.draft import Draft, quoted
from darkroom.tasks.message import CHECKPOINT_ATTRIBUTE, RUNTIME_ATTRIBUTE
from darkroom.tasks.task import Priority, Task
from darkroom.tasks.v1alpha1 import translate_content

MAXIMUM_ID_LENGTH = 64
MAXIMUM_PREFIX_LENGTH = 512
# The context travels in every notification, and SNS takes 256 KiB in all.
MAXIMUM_CONTEXT_BYTES = 64 * 1024
MAXIMUM_TIMEOUT_SECONDS = 3600.0


class Admitted(msgspec.Struct, frozen=True):
    """The request is a task, to be published with this one message attribute, which decides its queue.

    `warnings` say what of it will be ignored, or taken for something else.
    """

    task: Task
    attribute: str
    value: str
    warnings: tuple[Fault, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """The request is none, for these reasons."""

    faults: tuple[Fault, ...]


def admit(draft: Draft, catalogue: Catalogue, now: float) -> Admitted | Refused:
    """Judge a request at the front door; `now` is in seconds since 1970."""
    faults = [
        *draft.faults,
        *_bad_names(draft),
        *_bad_sizes(draft),
        *_bad_webhook(draft),
        *_too_late(draft, now),
    ]
    runtime = None
    if draft.runtime is not None:
        runtime = catalogue.find(draft.runtime)
        if runtime is None:
            known = ", ".join(catalogue.names)
            faults.append(
                Fault(draft.paths["runtime"], f"there is no runtime {quoted(draft.runtime)}; there are: {known}")
            )
    elif draft.checkpoint is not None:
        runtime = catalogue.static_for(draft.checkpoint) or catalogue.dynamic_sdwebui()
        if runtime is None:
            known = ", ".join(catalogue.checkpoints) or "none"
            faults.append(
                Fault(
                    draft.paths["checkpoint"],
                    f"no runtime serves {quoted(draft.checkpoint)}, and none loads models on demand; "
                    f"there are: {known}",
                )
            )
    warnings = list(draft.warnings)
    if runtime is not None:
        faults.extend(_unfit_priority(draft, runtime))
        faults.extend(unfit := [*_unfit_kind(draft, runtime)])
        if draft.kind is not None and draft.content is not None and not unfit:
            named = {fault.path for fault in faults}
            for finding in judge_content(draft.kind, translate_content(draft.content), runtime):
                said = Fault(_content_path(draft, finding.path), finding.reason)
                if said.path not in named:
                    (faults if finding.is_fault else warnings).append(said)
    if faults or runtime is None:
        return Refused(tuple(faults))
    task = _task(draft, runtime.name)
    if draft.checkpoint is not None and not runtime.dynamic:
        return Admitted(task, CHECKPOINT_ATTRIBUTE, draft.checkpoint, tuple(warnings))
    return Admitted(task, RUNTIME_ATTRIBUTE, runtime.name, tuple(warnings))


def readmit(draft: Draft, runtime: RuntimeSpec) -> Task | Refused:
    """Judge a message at the agent, which serves `runtime` alone: messages can reach the topic past the front door.

    The queue's filter has decided that the message is for this runtime, so the name in it is not compared again:
    the guide's own v1alpha1 API writes `legacy` there.
    """
    faults = [
        *draft.faults,
        *_bad_names(draft),
        *_bad_sizes(draft),
        *_bad_webhook(draft),
        *_unfit_kind(draft, runtime),
    ]
    return Refused(tuple(faults)) if faults else _task(draft, runtime.name)


def names_for_objects(task_id: str | None, prefix: str | None) -> tuple[str, str] | None:
    """The id and the prefix of a task that is otherwise not known to be one, if both may stand in objects' keys."""
    names = Draft(paths={"id": "id", "prefix": "prefix"}, id=task_id, prefix=prefix)
    if task_id is None or prefix is None or any(_bad_names(names)):
        return None
    return task_id, prefix.rstrip("/")


def _content_path(draft: Draft, path: str) -> str:
    """Where the caller wrote what stands at `path` of the content."""
    name, _, rest = path.partition(".")
    if (own := draft.paths.get(f"content.{name}")) is not None:
        return f"{own}.{rest}" if rest and rest != "0" else own
    return ".".join(part for part in (draft.paths.get("content", "content"), path) if part)


def _task(draft: Draft, runtime_name: str) -> Task:
    if draft.id is None or draft.kind is None or draft.prefix is None or draft.content is None:
        raise AssertionError("a draft without faults has every field")
    return Task(
        id=draft.id,
        runtime=runtime_name,
        kind=draft.kind,
        prefix=draft.prefix.rstrip("/"),
        content=draft.content,
        context=draft.context,
        timeout_seconds=draft.timeout_seconds,
        webhook=draft.webhook,
        deadline=draft.deadline,
        priority=draft.priority,
    )


def _too_late(draft: Draft, now: float) -> Iterator[Fault]:
    if draft.deadline is not None and draft.deadline <= now:
        yield Fault(draft.paths["deadline"], f"is over since {now - draft.deadline:.0f} s: the task could never begin")


def _unfit_priority(draft: Draft, runtime: RuntimeSpec) -> Iterator[Fault]:
    if draft.priority is Priority.LOW and not runtime.low_priority:
        reason = (
            f"the runtime {runtime.name!r} has no queue for tasks of low priority: leave it out, "
            "or have whoever runs the deployment set lowPriority in config.yaml"
        )
        yield Fault(draft.paths["priority"], reason)


def _unfit_kind(draft: Draft, runtime: RuntimeSpec) -> Iterator[Fault]:
    if draft.kind is not None and draft.kind not in runtime.accepted_kinds:
        accepted = ", ".join(sorted(runtime.accepted_kinds))
        does_not = f"the runtime {runtime.name!r} is of type {runtime.type!r}, which does not do {draft.kind}"
        yield Fault(draft.paths["kind"], f"{does_not}; it does: {accepted}")


def _bad_names(draft: Draft) -> Iterator[Fault]:
    """Names that would make a bad S3 object key."""
    if draft.id is not None:
        yield from faults_of_id(draft.id, draft.paths["id"])
    if draft.prefix is not None:
        path = draft.paths["prefix"]
        yield from _bad_name(draft.prefix.rstrip("/"), path, MAXIMUM_PREFIX_LENGTH)
        if draft.prefix.startswith("/"):
            yield Fault(path, "must not begin with '/'")
        if "//" in draft.prefix.rstrip("/"):
            yield Fault(path, "must not contain '//'")
        if f"{draft.prefix}/".startswith(RESERVED_PREFIX):
            yield Fault(path, f"must not begin with {RESERVED_PREFIX!r}, which Darkroom keeps for itself")
    if draft.id is not None and draft.prefix is not None:
        key_bytes = len(draft.prefix.encode()) + 2 * len(draft.id.encode()) + LONGEST_SUFFIX_BYTES
        if key_bytes > MAXIMUM_KEY_BYTES:
            reason = f"prefix and id make object keys of up to {key_bytes} bytes; S3 allows {MAXIMUM_KEY_BYTES}"
            yield Fault(draft.paths["prefix"], reason)


def faults_of_id(task_id: str, path: str) -> Iterator[Fault]:
    """Why no task can have this id, which the caller wrote at `path`."""
    yield from _bad_name(task_id, path, MAXIMUM_ID_LENGTH)
    if "/" in task_id:
        yield Fault(path, "must not contain '/'")


def _bad_name(name: str, path: str, maximum_length: int) -> Iterator[Fault]:
    if not name:
        yield Fault(path, "must not be empty")
    if len(name) > maximum_length:
        yield Fault(path, f"is {len(name)} characters long; at most {maximum_length} are allowed")
    if any(segment in (".", "..") for segment in name.split("/")):
        yield Fault(path, "must not contain '.' or '..' as a part of the path")
    if not name.isprintable():
        yield Fault(path, "must not contain control characters or other characters that cannot be printed")


def _bad_webhook(draft: Draft) -> Iterator[Fault]:
    if draft.webhook is not None:
        yield from faults_of_webhook(draft.webhook, draft.paths["webhook"])


def _bad_sizes(draft: Draft) -> Iterator[Fault]:
    context_bytes = len(msgspec.json.encode(draft.context))
    if context_bytes > MAXIMUM_CONTEXT_BYTES:
        path = draft.paths.get("id", "").removesuffix("id") + "context"
        yield Fault(path, f"is {context_bytes} bytes of JSON; at most {MAXIMUM_CONTEXT_BYTES} are allowed")
    timeout = draft.timeout_seconds
    if timeout is not None and not 0 < timeout <= MAXIMUM_TIMEOUT_SECONDS:
        reason = f"must be more than 0 and at most {MAXIMUM_TIMEOUT_SECONDS:g} seconds"
        yield Fault(draft.paths["timeout_seconds"], reason)
