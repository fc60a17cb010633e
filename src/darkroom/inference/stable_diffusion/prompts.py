"""Prompts as SD Web UI writes them: emphasis, LoRAs by name, and any length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.emphasis import weighted_parts
from darkroom.inference.stable_diffusion.tokenizer import CHUNK, token_ids

_LORA = re.compile(r"<lora:([^:<>]+)(?::([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA that a prompt asks for."""

    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most 75 tokens with the weight of each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def take_loras(prompt: str) -> tuple[str, tuple[Lora, ...]]:
    """The prompt without its `<lora:name:weight>` marks, and what they ask for. Raises `InvalidRequest`."""
    found = []
    for name, weight in _LORA.findall(prompt):
        try:
            found.append(Lora(name, float(weight) if weight else 1.0))
        except ValueError as error:
            raise InvalidRequest([Fault("prompt", f"<lora:{name}:{weight}>: the weight must be a number")]) from error
    return _LORA.sub("", prompt), tuple(found)


class _Words:
    """Text to tokens, where names of textual inversions stand for theirs."""

    def __init__(self, insertions: Mapping[str, tuple[int, ...]]) -> None:
        self._ids = {name.lower(): ids for name, ids in insertions.items()}
        names = "|".join(re.escape(name) for name in sorted(insertions, key=len, reverse=True))  # the longest first
        self._names = re.compile(rf"(?<!\w)({names})(?!\w)", re.IGNORECASE) if names else None

    def tokens(self, text: str) -> list[int]:
        if self._names is None:
            return token_ids(text)
        tokens: list[int] = []
        for piece in self._names.split(text):
            tokens += self._ids.get(piece.lower()) or token_ids(piece)
        return tokens


def chunks(prompt: str, insertions: Mapping[str, tuple[int, ...]]) -> list[Chunk]:
    """A prompt as one or more chunks of 75 tokens; an empty prompt is one empty chunk.

    `insertions` are the tokens that stand for the names of textual inversions.
    """
    ids: list[int] = []
    weights: list[float] = []
    words = _Words(insertions)
    for text, weight in weighted_parts(prompt):
        tokens = words.tokens(text)
        ids += tokens
        weights += [weight] * len(tokens)
    return [
        Chunk(tuple(ids[start : start + CHUNK]), tuple(weights[start : start + CHUNK]))
        for start in range(0, max(1, len(ids)), CHUNK)
    ]
