"""Prompts as SD Web UI writes them: emphasis, LoRAs by name, and any length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.stable_diffusion.tokenizer import CHUNK, token_ids

#: What one pair of brackets means: round ones strengthen, square ones weaken.
BRACKET = 1.1

_LORA = re.compile(r"<lora:([^:<>]+)(?::([^<>]*))?>")
_PIECE = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?\d*\.?\d+)\s*\)|\)|\]|[^\\()\[\]:]+|:|\\")


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


def weighted_parts(prompt: str) -> list[tuple[str, float]]:
    r"""A prompt in parts, each with its weight: `a (red:1.3) cat` is a 1, red 1.3, cat 1. Brackets nest.

    A bracket that is not closed counts to the end; `\(` is a bracket that means itself.
    """
    parts: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []

    def multiply(start: int, factor: float) -> None:
        parts[start:] = [(text, weight * factor) for text, weight in parts[start:]]

    for match in _PIECE.finditer(prompt):
        piece, number = match.group(0), match.group(1)
        if piece in ("(", "["):
            opened.append((piece, len(parts)))
        elif number is not None and opened and opened[-1][0] == "(":
            multiply(opened.pop()[1], float(number))
        elif piece == ")" and opened and opened[-1][0] == "(":
            multiply(opened.pop()[1], BRACKET)
        elif piece == "]" and opened and opened[-1][0] == "[":
            multiply(opened.pop()[1], 1 / BRACKET)
        else:
            parts.append((piece[1] if len(piece) == 2 and piece[0] == "\\" else piece, 1.0))
    for bracket, start in reversed(opened):
        multiply(start, BRACKET if bracket == "(" else 1 / BRACKET)
    return [(text, weight) for text, weight in parts if text.strip()]


def _tokens(text: str, insertions: Mapping[str, tuple[int, ...]]) -> list[int]:
    if not insertions:
        return token_ids(text)
    longest_first = sorted(insertions, key=len, reverse=True)
    names = "|".join(re.escape(name) for name in longest_first)
    by_name = {name.lower(): ids for name, ids in insertions.items()}
    tokens: list[int] = []
    for piece in re.split(rf"(?<!\w)({names})(?!\w)", text, flags=re.IGNORECASE):
        tokens += by_name.get(piece.lower()) or token_ids(piece)
    return tokens


def chunks(prompt: str, insertions: Mapping[str, tuple[int, ...]]) -> list[Chunk]:
    """A prompt as one or more chunks of 75 tokens; an empty prompt is one empty chunk.

    `insertions` are the tokens that stand for the names of textual inversions.
    """
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in weighted_parts(prompt):
        tokens = _tokens(text, insertions)
        ids += tokens
        weights += [weight] * len(tokens)
    return [
        Chunk(tuple(ids[start : start + CHUNK]), tuple(weights[start : start + CHUNK]))
        for start in range(0, max(1, len(ids)), CHUNK)
    ]
