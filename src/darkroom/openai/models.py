"""Which runtime a request's `model` means: a runtime's name, or `runtime/checkpoint`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from darkroom.errors import Fault
from darkroom.openai.options import OpenAiOptions, RuntimeOptions
from darkroom.openai.request import Kind
from darkroom.policy.catalogue import SDWEBUI_KINDS, Catalogue, RuntimeSpec
from darkroom.tasks.draft import quoted
from darkroom.tasks.hints import did_you_mean

_NO_OPTIONS = RuntimeOptions()
COMFYUI = "comfyui"


class Target(msgspec.Struct, frozen=True):
    """The runtime that is meant, what the deployment says of it, and the checkpoint that it is to load, if any."""

    runtime: RuntimeSpec
    options: RuntimeOptions
    checkpoint: str | None = None

    @property
    def model(self) -> str:
        """What the reply calls it."""
        return self.runtime.name if self.checkpoint is None else f"{self.runtime.name}/{self.checkpoint}"


class Model(msgspec.Struct, frozen=True):
    """One entry of `/v1/models`."""

    id: str
    owned_by: str = "darkroom"
    object: str = "model"
    created: int = 0  # nobody has written it down


class ModelList(msgspec.Struct, frozen=True):
    """The reply of `/v1/models`."""

    data: tuple[Model, ...]
    object: str = "list"


class Models:
    """The runtimes of a deployment that can do what this API asks for."""

    def __init__(self, catalogue: Catalogue, options: OpenAiOptions) -> None:
        self._targets = [
            target
            for runtime in catalogue
            if _is_able(target := Target(runtime, options.get(runtime.name, _NO_OPTIONS)))
        ]

    def choose(self, model: str | None, kind: Kind) -> Target | Fault:
        """The one that `model` means; without it, the first that can do it."""
        able = [target for target in self._targets if can(target, kind)]
        if not able:
            return Fault("model", f"no runtime of this deployment can {kind} pictures for this API")
        if not model:
            return able[0]
        name, _, checkpoint = model.partition("/")
        found = next((target for target in self._targets if target.runtime.name == name), None)
        if found is None:
            names = [target.runtime.name for target in able]
            hint = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            return Fault("model", f"there is no model {quoted(model)}{hint}")
        if found not in able:
            return Fault("model", f"{quoted(name)} cannot {kind} pictures: it has no workflow for that")
        return self._with_checkpoint(found, checkpoint) if checkpoint else found

    @property
    def listed(self) -> tuple[Model, ...]:
        """Each runtime, and behind it the checkpoint that it is known to have."""
        return tuple(Model(name) for target in self._targets for name in _names(target))

    def find(self, id_: str) -> Model | None:
        """The entry of this id."""
        return next((model for model in self.listed if model.id == id_), None)

    def _with_checkpoint(self, target: Target, checkpoint: str) -> Target | Fault:
        runtime = target.runtime
        if runtime.dynamic or _takes_checkpoints(target):
            return msgspec.structs.replace(target, checkpoint=checkpoint)
        if checkpoint == runtime.model:
            return target
        has = f"it has {runtime.model!r} alone" if runtime.model else "its models are not chosen by requests"
        return Fault("model", f"{runtime.name!r} does not load {quoted(checkpoint)}: {has}")


def can(target: Target, kind: Kind) -> bool:
    """Whether a runtime can do requests of this kind."""
    return target.runtime.type != COMFYUI or target.options.template(kind) is not None


def _is_able(target: Target) -> bool:
    """Whether a runtime speaks SD Web UI's API, or has a workflow."""
    speaks_sdwebui = bool(SDWEBUI_KINDS & target.runtime.accepted_kinds)
    return speaks_sdwebui if target.runtime.type != COMFYUI else can(target, "generate") or can(target, "edit")


def _takes_checkpoints(target: Target) -> bool:
    templates = (target.options.generate, target.options.edit)
    return any(template.has("checkpoint") for template in templates if template is not None)


def _names(target: Target) -> Iterator[str]:
    yield target.runtime.name
    if target.runtime.model is not None:
        yield f"{target.runtime.name}/{target.runtime.model}"
