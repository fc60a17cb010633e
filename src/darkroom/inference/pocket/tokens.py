"""Turns a caption into the numbers that the pocket model's text encoder reads.

Training and inference share this file, so a caption means the same in both.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_WORDS = 32
MAX_TRIGRAMS = 12
TRIGRAM_BUCKETS = 2048

PADDING = 0
UNKNOWN_WORD = 1
FIRST_WORD = 2

_WORD = re.compile(r"[a-z0-9#*]+|[^\s\w,.;:!?'\"()\[\]<>-]")


@dataclass(frozen=True)
class Tokens:
    """Captions as word ids [n, 32] and trigram ids [n, 32, 12], both int64, 0 where there is nothing."""

    words: NDArray[np.int64]
    trigrams: NDArray[np.int64]


def split_words(caption: str) -> list[str]:
    """The caption's words in lower case, without punctuation, at most `MAX_WORDS`."""
    return _words(caption)[:MAX_WORDS]


def count_words(caption: str) -> int:
    """How many words a caption has, those beyond `MAX_WORDS` among them."""
    return len(_words(caption))


def _words(caption: str) -> list[str]:
    return _WORD.findall(caption.lower().replace("\u2019", "'").replace("'s", ""))


def trigram_ids(word: str) -> list[int]:
    """Ids of the word's runs of three letters, its ends marked; zlib's CRC-32 is the same on every machine."""
    marked = f"<{word}>"
    return [
        1 + zlib.crc32(marked[start : start + 3].encode()) % (TRIGRAM_BUCKETS - 1)
        for start in range(min(len(marked) - 2, MAX_TRIGRAMS))
    ]


class Tokenizer:
    """Looks words up in the model's vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary`: the known words in the order of their ids, which start at `FIRST_WORD`."""
        self._ids = {word: FIRST_WORD + index for index, word in enumerate(vocabulary)}

    def __call__(self, captions: Sequence[str]) -> Tokens:
        """Encode captions; an empty one becomes all padding, which the model knows as "no caption"."""
        words = np.zeros((len(captions), MAX_WORDS), dtype=np.int64)
        trigrams = np.zeros((len(captions), MAX_WORDS, MAX_TRIGRAMS), dtype=np.int64)
        for row, caption in enumerate(captions):
            for column, written in enumerate(split_words(caption)):
                word = self._singular(written)
                words[row, column] = self._ids.get(word, UNKNOWN_WORD)
                ids = trigram_ids(word)
                trigrams[row, column, : len(ids)] = ids
        return Tokens(words, trigrams)

    def _singular(self, word: str) -> str:
        """A known word as it is; an unknown plural of one as that one."""
        if word not in self._ids:
            for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
                single = word.removesuffix(ending) + instead
                if word.endswith(ending) and single in self._ids:
                    return single
        return word
