"""What config.yaml says of a runtime for clients of OpenAI's API: defaults, and ComfyUI workflows with named slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from darkroom.config.document import ConfigFault, Path
from darkroom.config.keys import ConfigModel
from darkroom.openai.models import COMFYUI
from darkroom.openai.options import RuntimeOptions, Slot, Template, faults_of_template
from darkroom.openai.request import Kind
from darkroom.policy.comfyui_workflow import judge_workflow

Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]
Steps = Annotated[int, Field(ge=1, le=10_000)]
_KINDS: tuple[Kind, ...] = ("generate", "edit")


class WorkflowTemplate(ConfigModel):
    """A workflow of ComfyUI, and where in it the values of a request go."""

    workflow: dict[str, Any] = Field(description="the workflow in ComfyUI's API format, as its editor exports it")
    slots: dict[Slot, str | list[str]] = Field(
        description="where each value goes: NODE.INPUT, as in 6.text, or several; what has no slot stays as it is"
    )

    def template(self) -> Template:
        """The same, as the front door knows it."""
        places = {slot: [place] if isinstance(place, str) else place for slot, place in self.slots.items()}
        return Template(self.workflow, places)


class OpenAiConfig(ConfigModel):
    """How a runtime serves OpenAI's Images API."""

    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")] | None = Field(
        default=None, description="what size: auto stands for; not set: as the runtime or the workflow has it"
    )
    steps: dict[Quality, Steps] = Field(default={}, description="sampling steps for each quality")
    generate: WorkflowTemplate | None = Field(default=None, description="ComfyUI: the workflow that makes pictures")
    edit: WorkflowTemplate | None = Field(default=None, description="ComfyUI: the workflow that changes a picture")

    def options(self) -> RuntimeOptions:
        """The same, as the front door knows it."""
        width, _, height = (self.size or "").partition("x")
        return RuntimeOptions(
            size=(int(width), int(height)) if self.size else None,
            steps={str(quality): steps for quality, steps in self.steps.items()},
            generate=None if self.generate is None else self.generate.template(),
            edit=None if self.edit is None else self.edit.template(),
        )


def unfit_openai(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """What is wrong with the workflows of the runtime at `path` of the file, read as plain values."""
    section = runtime.get("openai")
    if not isinstance(section, dict):
        return
    for kind in _KINDS:
        said = section.get(kind)
        if said is None:
            continue
        here = (*path, "openai", kind)
        if runtime.get("type") != COMFYUI:
            reason = (
                "is for ComfyUI, which needs a workflow; what this runtime draws follows from the request: remove it"
            )
            yield ConfigFault(here, reason)
        elif isinstance(said, dict) and isinstance(said.get("workflow"), dict) and isinstance(said.get("slots"), dict):
            yield from _unfit_template(here, kind, said["workflow"], said["slots"])


def _unfit_template(here: Path, kind: Kind, workflow: dict[str, Any], slots: dict[Any, Any]) -> Iterator[ConfigFault]:
    faults = [finding for finding in judge_workflow(workflow) if finding.is_fault]
    for finding in faults:
        yield ConfigFault((*here, "workflow"), ": ".join(part for part in (finding.path, finding.reason) if part))
    if faults:
        return
    places = {
        slot: [place for place in ([said] if isinstance(said, str) else said) if isinstance(place, str)]
        for slot, said in slots.items()
        if isinstance(said, str | list)
    }
    for slot, reason in faults_of_template(kind, Template(workflow, places)):
        yield ConfigFault((*here, "slots", slot), reason)
