"""Whether a runtime can do anything with a request's content, as far as that can be known without asking it.

What it cannot take is a fault, before anybody pays for a GPU. What it would ignore, or take for something else than was
written, is a warning: forks and extensions have fields of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from darkroom.policy.catalogue import DIFFUSERS, RuntimeSpec
from darkroom.policy.comfyui_workflow import judge_workflow
from darkroom.policy.field_rules import Finding
from darkroom.policy.sdwebui_fields import FIELDS
from darkroom.tasks.hints import quoted
from darkroom.tasks.task import JsonObject, TaskKind

_SDWEBUI_TYPES = ("sdwebui", DIFFUSERS)
# One request with ten thousand misspelt fields needs no ten thousand answers.
MOST_FINDINGS = 50


def judge_content(kind: TaskKind, content: JsonObject, runtime: RuntimeSpec) -> tuple[Finding, ...]:
    """What is to be said of `content`, by paths below it. Of a runtime of a user's own type nothing is known."""
    findings: list[Finding] = []
    for finding in _judge(kind, content, runtime):
        findings.append(finding)
        if len(findings) == MOST_FINDINGS:
            break
    return tuple(findings)


def _judge(kind: TaskKind, content: JsonObject, runtime: RuntimeSpec) -> Iterator[Finding]:
    if kind is TaskKind.PIPELINE and runtime.type == "comfyui":
        yield from judge_workflow(content)
    elif kind in FIELDS and runtime.type in _SDWEBUI_TYPES:
        if not content:
            yield Finding("", "is empty: say at least what is to be made")
            return
        yield from FIELDS[kind].judge(content, msgspec.structs.asdict(runtime.limits))
        yield from _scripts(content.get("alwayson_scripts"))
        if kind is TaskKind.TEXT_TO_IMAGE:
            yield from _hires(content)
        if kind is TaskKind.IMAGE_TO_IMAGE:
            yield from _pictures_for_batch(content)


def _scripts(scripts: Any) -> Iterator[Finding]:
    """`{"name": {"args": [...]}}`; what else stands there is routing (see `darkroom.tasks.v1alpha1`)."""
    if scripts is None or scripts == []:
        return
    if not isinstance(scripts, dict):
        yield Finding("alwayson_scripts", f"must be an object, not {quoted(scripts)}")
        return
    for name, script in scripts.items():
        if isinstance(script, dict) and not isinstance(script.get("args", []), list | dict):
            yield Finding(f"alwayson_scripts.{name}.args", f"must be a list, not {quoted(script['args'])}")


def _hires(content: JsonObject) -> Iterator[Finding]:
    if content.get("enable_hr") is True and content.get("denoising_strength") is None and not content.get("infotext"):
        yield Finding("denoising_strength", "is required with enable_hr: a number from 0 to 1, 0.5 for example")


def _pictures_for_batch(content: JsonObject) -> Iterator[Finding]:
    """Each picture of a batch starts from one of them."""
    pictures, size = content.get("init_images"), content.get("batch_size", 1)
    if content.get("script_name") or not isinstance(pictures, list) or not isinstance(size, int):
        return
    if len(pictures) > max(size, 1):
        reason = f"holds {len(pictures)} pictures, and batch_size is {size}: each picture of a batch starts from one"
        yield Finding("init_images", reason)
