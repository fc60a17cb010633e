"""What a deployment says of a runtime for OpenAI's API: its defaults, and for ComfyUI the workflows that do the work.

They come as a file (`DARKROOM_OPENAI_FILE`), which the deployment writes from config.yaml: workflows are too long for
an environment variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from darkroom.errors import SettingsError
from darkroom.openai.request import Kind
from darkroom.tasks.task import JsonObject

Slot = Literal[
    "prompt", "negativePrompt", "width", "height", "n", "seed", "steps", "guidance", "strength", "checkpoint",
    "picture", "picture2", "picture3", "picture4", "mask",
]  # fmt: skip
SLOTS: tuple[Slot, ...] = get_args(Slot)
PICTURE_SLOTS: tuple[Slot, ...] = ("picture", "picture2", "picture3", "picture4")
# What a template is of no use without.
NEEDED: Mapping[Kind, tuple[Slot, ...]] = {"generate": ("prompt",), "edit": ("prompt", "picture")}
# How many steps a quality stands for, where a runtime does not say otherwise.
STEPS: Mapping[str, int] = {
    "auto": 20, "low": 10, "medium": 20, "high": 30, "xhigh": 40, "max": 50, "standard": 20, "hd": 30,
}  # fmt: skip
# What the file is called, in the folder of a stack on one machine and in the Lambda function's code.
OPENAI_FILE = "openai.json"
_PLACE = re.compile(r"([^.]+)\.(.+)")


class Template(msgspec.Struct, frozen=True):
    """A ComfyUI workflow in its API format, and the places in it that a request's values go to.

    A place is `NODE.INPUT`; a slot may have several. What a request leaves out stays as the workflow has it.
    """

    workflow: JsonObject
    slots: dict[Slot, list[str]]

    def has(self, slot: Slot) -> bool:
        """Whether there is a place for this."""
        return bool(self.slots.get(slot))

    def filled(self, values: Mapping[Slot, Any]) -> JsonObject:
        """The workflow with these values in their places; a slot that it does not have is left out."""
        changed: JsonObject = dict(self.workflow)
        for slot, value in values.items():
            for place in self.slots.get(slot, ()):
                node_id, name = split_place(place)
                node = changed[node_id]
                changed[node_id] = {**node, "inputs": {**node.get("inputs", {}), name: value}}
        return changed


class RuntimeOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`size` is what `auto` stands for, in pixels; `steps` go before `STEPS`. `generate` and `edit` are for ComfyUI."""

    size: tuple[int, int] | None = None
    steps: dict[str, int] = msgspec.field(default_factory=dict)
    generate: Template | None = None
    edit: Template | None = None

    def template(self, kind: Kind) -> Template | None:
        """The workflow for requests of this kind."""
        return self.generate if kind == "generate" else self.edit

    def steps_of(self, quality: str) -> int | None:
        """How many steps a quality stands for; None where `auto` was left to a runtime that has workflows."""
        if quality in self.steps:
            return self.steps[quality]
        return None if quality == "auto" and (self.generate or self.edit) else STEPS[quality]


OpenAiOptions = dict[str, RuntimeOptions]
"""The options of each runtime that has some, by its name."""


def split_place(place: str) -> tuple[str, str]:
    """The node and the input of a place. Raises `ValueError`."""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError(f"{place!r} is no place: write NODE.INPUT, as in 6.text")
    return match[1], match[2]


def faults_of_template(kind: Kind, template: Template) -> Iterator[tuple[str, str]]:
    """What is wrong with a template's slots: which one, and why."""
    for slot in NEEDED[kind]:
        if not template.has(slot):
            yield slot, "is missing: it says where in the workflow the request's own goes, as in 6.text"
    for slot, places in template.slots.items():
        for place in places:
            try:
                node_id, name = split_place(place)
            except ValueError as error:
                yield slot, str(error)
                continue
            node = template.workflow.get(node_id)
            if node is None:
                yield slot, f"leads to node {node_id!r}, which is not in the workflow; there are: {_some(template)}"
            elif name not in node.get("inputs", {}):
                inputs = ", ".join(node.get("inputs", {})) or "none"
                yield slot, f"leads to the input {name!r}, which node {node_id!r} does not have; it has: {inputs}"


def decode_options(text: bytes) -> OpenAiOptions:
    """Read the file that `encode_options` wrote. Raises `SettingsError`."""
    try:
        return msgspec.json.decode(text, type=OpenAiOptions)
    except msgspec.DecodeError as error:
        raise SettingsError(f"the file of DARKROOM_OPENAI_FILE cannot be read: {error}") from None


def encode_options(options: OpenAiOptions) -> bytes:
    """The file that `decode_options` reads."""
    return msgspec.json.encode(options)


def _some(template: Template) -> str:
    return ", ".join(list(template.workflow)[:20])
