"""Which runtimes there are, and which of them can do a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from darkroom.errors import SettingsError
from darkroom.policy.sdwebui_fields import ContentLimits
from darkroom.tasks.task import TaskKind

# The type of Darkroom's own runtime, which speaks the SD Web UI API.
DIFFUSERS = "diffusers"

SDWEBUI_KINDS = frozenset(
    {TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE, TaskKind.EXTRA_SINGLE_IMAGE, TaskKind.EXTRA_BATCH_IMAGES}
)

# The task types that each runtime type of Darkroom's own accepts. A runtime that a user adds says its own in `kinds`.
KINDS_OF_TYPE = {
    "sdwebui": SDWEBUI_KINDS,
    "comfyui": frozenset({TaskKind.PIPELINE}),
}


class RuntimeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One runtime as the front door knows it.

    `model` is the file name of the checkpoint that a static runtime has loaded; `dynamic` says that it loads whichever
    checkpoint a request names. `kinds` is only needed for a `type` that Darkroom does not know. `limits` is how much
    one request may ask of it. `device_hour_usd` is what an hour of its device costs, where somebody has said so.
    `low_priority` says that tasks of low priority have a queue of their own.
    """

    name: str
    type: str
    model: str | None = None
    dynamic: bool = False
    kinds: frozenset[TaskKind] = frozenset()
    limits: ContentLimits = ContentLimits()
    device_hour_usd: float | None = None
    low_priority: bool = False

    @property
    def accepted_kinds(self) -> frozenset[TaskKind]:
        """The task types that this runtime can do."""
        return self.kinds or KINDS_OF_TYPE.get(self.type, frozenset())


class Catalogue:
    """The runtimes of one deployment, by name and by the model that they serve."""

    def __init__(self, runtimes: Iterable[RuntimeSpec]) -> None:
        self._by_name = {runtime.name: runtime for runtime in runtimes}

    def __iter__(self) -> Iterator[RuntimeSpec]:
        return iter(self._by_name.values())

    def find(self, name: str) -> RuntimeSpec | None:
        """The runtime of that name."""
        return self._by_name.get(name)

    @property
    def names(self) -> list[str]:
        """All names, sorted, for error messages."""
        return sorted(self._by_name)

    def static_for(self, checkpoint: str) -> RuntimeSpec | None:
        """The runtime that has this checkpoint loaded for good, and so is subscribed to its name."""
        return next((runtime for runtime in self if runtime.model == checkpoint and not runtime.dynamic), None)

    def dynamic_sdwebui(self) -> RuntimeSpec | None:
        """The first runtime that speaks the SD Web UI API and loads whichever checkpoint is asked for."""
        return next((runtime for runtime in self if runtime.dynamic and SDWEBUI_KINDS & runtime.accepted_kinds), None)

    @property
    def checkpoints(self) -> list[str]:
        """The checkpoints that static runtimes serve, sorted, for error messages."""
        return sorted(runtime.model for runtime in self if runtime.model and not runtime.dynamic)


def decode_catalogue(text: str) -> Catalogue:
    """Read a JSON list of `RuntimeSpec`. Raises `SettingsError` when it is none, or names no runtime."""
    try:
        specs = msgspec.json.decode(text, type=list[RuntimeSpec])
    except msgspec.DecodeError as error:
        raise SettingsError(f"the list of runtimes cannot be read: {error}") from None
    if not specs:
        raise SettingsError("the list of runtimes is empty")
    return Catalogue(specs)


def encode_catalogue(runtimes: Iterable[RuntimeSpec]) -> str:
    """The text that `decode_catalogue` reads."""
    return msgspec.json.encode(list(runtimes)).decode()
