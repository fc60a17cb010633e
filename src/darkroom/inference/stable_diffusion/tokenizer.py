"""CLIP's tokenizer, from the merge table that OpenAI published with CLIP (MIT licence; the file lies beside this one).

Nothing is asked of a hub: the 49,408 tokens follow from the table.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

MERGES = Path(__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
START = 49406
END = 49407
CHUNK = 75

#: The table has more merges than CLIP uses; 512 single signs and two marks make up the rest of the 49,408 tokens.
_MERGE_COUNT = 49152 - 256 - 2


@cache
def clip_tokenizer() -> Tokenizer:
    """The tokenizer; it adds no start or end marks."""
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").split("\n")
    merges = [(pair[0], pair[1]) for pair in (line.split() for line in lines[1 : 1 + _MERGE_COUNT])]
    signs = _byte_signs()
    names = [*signs, *(f"{sign}</w>" for sign in signs), *("".join(pair) for pair in merges)]
    names += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={name: number for number, name in enumerate(names)},
            merges=merges,
            unk_token="<|endoftext|>",  # noqa: S106 - a token of the vocabulary
            end_of_word_suffix="</w>",
            fuse_unk=False,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def token_ids(text: str) -> list[int]:
    """A text's tokens, however many."""
    ids: list[int] = clip_tokenizer().encode(text, add_special_tokens=False).ids
    return ids


def _byte_signs() -> list[str]:
    """A printable sign for each byte, in the order of CLIP's table: printable bytes first, the others moved up."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
