"""What is known of how a picture came to be: the facts that its Content Credentials tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from darkroom.policy.media_types import MediaType
from darkroom.tasks.task import TaskKind

EDITED, RESIZED = "c2pa.edited", "c2pa.resized"


@dataclass(frozen=True)
class Ingredient:
    """An input, as the library keeps one: what it says of itself, without its pixels."""

    archive: bytes


class KeepIngredient(Protocol):
    """What keeps a file's own words: `darkroom.provenance.library.keep_ingredient`."""

    def __call__(self, data: BinaryIO, media_type: MediaType, index: int, title: str) -> Ingredient | None:
        """Return None for a file that cannot be kept."""
        ...


@dataclass(frozen=True)
class Origin:
    """How one task's pictures came to be.

    `source_type` is IPTC's name for it; `edit` is what was done to a picture that they were made from, by C2PA's name.
    `ingredients` are the inputs, of which the first is what the pictures were made
    from. `sources` has, for a task that makes each of its pictures from an input of its own, those inputs in order.
    `prompts` are told only where the operator wants that.
    """

    kind: TaskKind
    runtime: str
    runtime_type: str
    source_type: str
    edit: str = EDITED
    model: str | None = None
    submission_id: str = ""
    ingredients: tuple[Ingredient, ...] = ()
    sources: tuple[Ingredient | None, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)

    def ingredients_of(self, number: int) -> tuple[Ingredient, ...]:
        """The inputs of picture `number`, counted from 1."""
        if self.sources:
            source = self.sources[number - 1] if number <= len(self.sources) else None
            return () if source is None else (source,)
        return self.ingredients
