"""SD Web UI's notation for emphasis: `(word)`, `[word]`, `(word:1.3)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What one pair of brackets means: round ones strengthen, square ones weaken.
BRACKET = 1.1
#: No sum of a prompt's vectors means anything beyond; and without a bound many brackets would end at infinity.
MOST = 1e4

# The number is looked ahead for, and then taken as it was found: what a look ahead has found is not given back bit by
# bit, so a number without its bracket costs its length, not the square of it. (A possessive group would say the same,
# but Python before 3.11.5 matches those wrongly at times: https://github.com/python/cpython/issues/106052)
_NUMBER = r"(?=([+-]?(?:\d+(?:\.\d+)?|\.\d+)))\1"
_PIECE = re.compile(rf"\\[()\[\]\\]|\(|\[|:\s*{_NUMBER}\s*\)|\)|\]|[^\\()\[\]:]+|:|\\")


@dataclass(slots=True)
class _Opened:
    """A bracket: which one, and by what it turned out to multiply."""

    sign: str
    factor: float


def weighted_parts(prompt: str) -> list[tuple[str, float]]:
    r"""A prompt in parts, each with its weight: `a (red:1.3) cat` is a 1, red 1.3, cat 1. Brackets nest.

    A bracket that is not closed counts to the end; `\(` is a bracket that means itself. Weights stay within ±`MOST`.
    """
    pieces: list[str | _Opened | None] = []  # None closes the bracket that was opened last
    opened: list[_Opened] = []
    for match in _PIECE.finditer(prompt):
        piece, number = match.group(0), match.group(1)
        if piece in ("(", "["):
            opened.append(_Opened(piece, BRACKET if piece == "(" else 1 / BRACKET))
            pieces.append(opened[-1])
        elif number is not None and opened and opened[-1].sign == "(":
            opened.pop().factor = float(number)
            pieces.append(None)
        elif (piece == ")" and opened and opened[-1].sign == "(") or (
            piece == "]" and opened and opened[-1].sign == "["
        ):
            opened.pop()
            pieces.append(None)
        else:
            pieces.append(piece[1] if len(piece) == 2 and piece[0] == "\\" else piece)
    parts: list[tuple[str, float]] = []
    weights = [1.0]
    for part in pieces:
        if part is None:
            weights.pop()
        elif isinstance(part, _Opened):
            weights.append(max(-MOST, min(MOST, weights[-1] * part.factor)))
        elif part.strip():
            parts.append((part, weights[-1]))
    return parts
